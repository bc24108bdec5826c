"""Connections of a pool, taken once, kept, and lent to one work after another, in the order in which works came.

Invariant: there are never more than `size`, and each is with one work, kept, or not open; whoever waits gets the next
one that is free, before anybody who comes later.

The driver's own lending makes a task, a timer and a proxy for each work, and lets newcomers pass those who wait. It is
asked only for a connection that is not open yet, and given back only one that may be broken.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import asyncpg
from asyncpg.pool import PoolConnectionProxy

_SECONDS_IDLE = 300.0
"""After so long without work a connection is replaced: something on the way may have forgotten it without a word."""

_SECONDS_TO_RECOVER = 5.0


class _Kept(NamedTuple):
    connection: PoolConnectionProxy
    since: float
    """When its last work ended."""


class Lender:
    """Lends connections of `pool`, which nobody else may use, at most `size`. To be used from one event loop."""

    def __init__(self, pool: "asyncpg.Pool", size: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._free: list[_Kept | None] = [None] * size
        """The last is lent first. None for a connection that is not open."""
        self._waiting: deque[asyncio.Future[_Kept | None]] = deque()

    @property
    def free(self) -> int:
        """How many connections more could be lent at once."""
        return len(self._free)

    @property
    def waiting(self) -> int:
        """How many works wait for a connection."""
        return sum([not turn.done() for turn in self._waiting])

    async def take(self) -> PoolConnectionProxy:
        """A connection, which must be kept or given back in the end. Raises what the driver raises in connecting."""
        kept = self._free.pop() if self._free else await self._wait()
        if kept is not None and self._is_usable(kept):
            return kept.connection
        try:
            return await self._pool.acquire()
        except BaseException:
            self._pass_on(None)
            raise

    def keep(self, connection: PoolConnectionProxy) -> None:
        """Take back a connection that is as it was."""
        self._pass_on(_Kept(connection, self._clock()))

    async def give_back(self, connection: PoolConnectionProxy) -> None:
        """Take back one whose work failed: what still runs on it is cancelled, and a broken one is closed.

        Raises what the driver raises if that takes too long or fails; it has cut the connection then.
        """
        try:
            await self._pool.release(connection, timeout=_SECONDS_TO_RECOVER)
        finally:
            self._pass_on(None)

    async def aclose(self) -> None:
        """Give back all that are kept, for the pool to close. None may be with a work."""
        for kept in self._free:
            if kept is not None:
                await self._pool.release(kept.connection)

    def _is_usable(self, kept: _Kept) -> bool:
        """False for a connection that has ended, or is ended because it was idle. The pool has its place again then."""
        with suppress(asyncpg.InterfaceError):  # the pool knows already that it has ended
            if not kept.connection.is_closed() and self._clock() - kept.since < _SECONDS_IDLE:
                return True
            kept.connection.terminate()
        return False

    async def _wait(self) -> _Kept | None:
        turn: asyncio.Future[_Kept | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had just been given one
                self._pass_on(turn.result())
            raise

    def _pass_on(self, kept: _Kept | None) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(kept)
                return
        self._free.append(kept)
