"""Puts into the search index what turns have left for it, and imports.

It has at most a tenth of the time, and less of it the busier the process is: a batch takes longer then, and the rest
that follows takes as much longer. What it has not come to is found all the same, because a search brings its user's
part of the index up to date first.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from gateway.ports import Store

_BATCH = 200
"""Messages. Nobody waits long for the transaction of so few."""

_REST = 9
"""Times as long as a batch took, before the next one."""

_IDLE = 5.0
"""Seconds between two looks at an index that was complete."""


class Indexing:
    name = "indexing"

    def __init__(
        self,
        store: Store,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._sleep = sleep
        self._clock = clock

    async def run(self) -> None:
        while True:
            began = self._clock()
            indexed = await self._store.index_messages(limit=_BATCH)
            await self._sleep(_REST * (self._clock() - began) if indexed else _IDLE)
