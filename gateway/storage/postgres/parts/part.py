"""What every part of the store works with, and how long a work may take.

Reads give up after `timeout`, and so does the opening of a turn: a client is waiting, and nothing is lost. Writes get
_WRITE_SECONDS, because they may carry a reply that was paid for; a database that is down refuses them at once anyway.
The time that a work waits for a free connection counts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from gateway.ports import Page
from gateway.storage.postgres.pool import Link, Pool

T = TypeVar("T")

_WRITE_SECONDS = 30.0
_USAGE_SECONDS = 30.0
"""A sum over millions of turns takes seconds, and only who asked for it waits."""

NOTHING: Page[Any] = Page((), has_more=False)


class Part:
    """A part of the store. All of them run their works on connections of the same pool."""

    def __init__(self, pool: Pool, *, timeout: float) -> None:
        self._timeout = timeout
        self._accounting = asyncio.Lock()
        self._pool = pool
        self._backlog = 0
        """Of the search index, when it was last looked at."""

    async def _read(self, work: Callable[[Link], Awaitable[T]]) -> T:
        return await self._pool.run(work, patience=self._timeout)

    async def _account(self, work: Callable[[Link], Awaitable[T]]) -> T:
        """One at a time: whoever asks for many must not take all connections from the turns."""
        async with self._accounting:
            return await self._read_long(work)

    async def _read_long(self, work: Callable[[Link], Awaitable[T]]) -> T:
        return await self._pool.run(work, patience=max(_USAGE_SECONDS, self._timeout))

    async def _write(self, work: Callable[[Link], Awaitable[T]]) -> T:
        return await self._pool.run(work, patience=max(_WRITE_SECONDS, self._timeout))
