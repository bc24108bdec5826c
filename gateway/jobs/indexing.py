"""Puts into the search index what was stored without it, as by an import of very many messages."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.ports import Store

_BATCH = 200
"""Messages. Nobody waits long for the transaction of so few."""

_PAUSE = 0.05
"""Seconds between two batches, in which turns are written."""

_IDLE = 5.0
"""Seconds between two looks at an index that was complete."""


class Indexing:
    name = "indexing"

    def __init__(self, store: Store, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._store = store
        self._sleep = sleep

    async def run(self) -> None:
        while True:
            indexed = await self._store.index_messages(limit=_BATCH)
            await self._sleep(_PAUSE if indexed else _IDLE)
