"""Whether the client of a turn leaves meanwhile: watched only where the turn takes its time.

Most replies come sooner than a task that waits for the client would have been worth. So that those cost no timer
either, all turns share one: it looks what has been in flight since its last look.
"""

import asyncio
from collections.abc import Callable

from starlette.types import Receive

_TICK = 0.05
"""Seconds between two looks. A client is watched when its turn has taken between one and two of them."""


class Watch:
    """Waits for one client to leave, from `start` to `stop`, and tells `on_leaving`."""

    __slots__ = ("_on_leaving", "_receive", "_task")

    def __init__(self, receive: Receive, on_leaving: Callable[[], None]) -> None:
        self._receive = receive
        self._on_leaving = on_leaving
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Harmless if it has been started."""
        if self._task is None:
            self._task = asyncio.create_task(self._wait())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._on_leaving()


class Watches:
    """Starts those watches that are not removed before long."""

    def __init__(self) -> None:
        self._new: set[Watch] = set()
        self._waiting: set[Watch] = set()
        """Those that were there at the last look."""
        self._is_ticking = False

    def add(self, watch: Watch) -> None:
        self._new.add(watch)
        if not self._is_ticking:
            self._is_ticking = True
            asyncio.get_running_loop().call_later(_TICK, self._tick)

    def remove(self, watch: Watch) -> None:
        """Stop it, whether or not it was started."""
        self._new.discard(watch)
        self._waiting.discard(watch)
        watch.stop()

    def _tick(self) -> None:
        for watch in self._waiting:
            watch.start()
        self._waiting, self._new = self._new, set()
        self._is_ticking = bool(self._waiting)
        if self._is_ticking:
            asyncio.get_running_loop().call_later(_TICK, self._tick)
