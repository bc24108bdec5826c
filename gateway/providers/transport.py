"""The direct path's HTTP client: POSTs over kept connections, and nothing that such a call does not need.

A call is sent once. A connection that the upstream closed while it was idle is seen before it is used; one that is
closed just as the call is on its way fails the call, as in Go's net/http and aiohttp: the upstream may have begun to
work, and a completion is neither free nor the same twice. Whether to call again is for the gateway to decide.
"""

import asyncio
from collections import defaultdict
from functools import partial

from gateway.domain import Timeouts
from gateway.providers.connection import Connection, Response
from gateway.providers.dialing import Dialer, Route


class Transport:
    """`max_connections` bounds the open connections to all upstreams together; further calls wait in order for one.

    Of the idle connections the one used last goes first, so that those that are not needed grow old and are closed.
    """

    def __init__(self, *, max_connections: int, dialer: Dialer | None = None) -> None:
        self._max_connections = max_connections
        self._dialer = dialer or Dialer()
        self._slots = asyncio.Semaphore(max_connections)
        self._calls = 0
        self._idle: defaultdict[Route, list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()

    async def post(self, route: Route, head: bytes, body: bytes, timeouts: Timeouts) -> Response:
        """The response, once its head is there. `head` is the request's, its `content-length` included.

        Raises Unreachable, TimeoutError, or another OSError where no answer came, or none that is HTTP. `connect`
        counts from when a connection may be opened; the wait for that is bounded by `total` alone.
        """
        deadline = asyncio.get_running_loop().time() + timeouts.total
        connection = await self._acquire(route, deadline, timeouts.connect)
        response = connection.send(head, body, silence=timeouts.read, deadline=deadline)
        await response.begun()
        return response

    async def aclose(self) -> None:
        """Close all connections; calls under way fail."""
        connections = list(self._open)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*(connection.lost for connection in connections))

    async def _acquire(self, route: Route, deadline: float, connect_seconds: float) -> Connection:
        """An open connection that has no call. The call's slot is given back when it is over."""
        await self._take_slot(deadline)
        idle = self._idle[route]
        while idle:
            connection = idle.pop()
            if connection.is_open:
                return connection
        try:
            async with asyncio.timeout_at(min(deadline, asyncio.get_running_loop().time() + connect_seconds)):
                return await self._dial(route, idle)
        except BaseException:
            self._give_slot()
            raise

    async def _take_slot(self, deadline: float) -> None:
        if self._slots.locked():
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        else:
            await self._slots.acquire()
        self._calls += 1

    def _give_slot(self) -> None:
        self._calls -= 1
        self._slots.release()

    async def _dial(self, route: Route, idle: list[Connection]) -> Connection:
        self._make_room()
        connection = await self._dialer.dial(
            route, lambda: Connection(partial(self._free, idle), partial(self._lose, idle))
        )
        if not connection.is_open:
            raise ConnectionResetError("closed as soon as it was open")
        self._open.add(connection)
        return connection

    def _make_room(self) -> None:
        """Close what has been idle for longest, on any route, if the connection to come would be one too many."""
        pools = [idle for idle in self._idle.values() if idle]
        if self._calls + sum(map(len, pools)) > self._max_connections:
            oldest = min(pools, key=lambda idle: idle[0].heard_at)
            oldest.pop(0).abort()

    def _free(self, idle: list[Connection], connection: Connection) -> None:
        if connection.is_open:
            idle.append(connection)
        self._give_slot()

    def _lose(self, idle: list[Connection], connection: Connection) -> None:
        self._open.discard(connection)
        if connection in idle:
            idle.remove(connection)
