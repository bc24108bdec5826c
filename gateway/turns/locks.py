"""One turn at a time on a session, in the order they arrived. For one process; nothing is kept of a free lock."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from gateway.errors import Conflict


class SessionLocks:
    """Locks by key, each with its queue. The key holds the user's id: nobody can hold up another's session."""

    def __init__(self, timeout: float) -> None:
        """`timeout`: seconds that a turn waits for the ones before it."""
        self._timeout = timeout
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Raises Conflict (`session_locked`) when the wait takes longer than the timeout."""
        await self._acquire(key)
        try:
            yield
        finally:
            self._release(key)

    async def _acquire(self, key: Hashable) -> None:
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._timeout):
                await turn
        except BaseException as exc:
            # The lock may have been handed over in the very moment that the wait was given up.
            if turn.done() and not turn.cancelled():
                self._release(key)
            elif turn in queue:  # not so if a release has passed over it since it was cancelled
                queue.remove(turn)
            if isinstance(exc, TimeoutError):
                raise _locked(self._timeout) from None
            raise

    def _release(self, key: Hashable) -> None:
        """Hand the lock to the first who still waits, or forget it."""
        queue = self._waiting[key]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]


def _locked(timeout: float) -> Conflict:
    return Conflict(
        f"Other turns of this session were still running after {timeout:g} s. Try again when they are done.",
        code="session_locked",
        param="session_id",
        headers={"retry-after": "1"},
    )
