"""Search, and the index behind it.

Searching brings the index up to date first, for the user who searches. So a turn pays no more for being found one day
than a row in a queue.
"""

import asyncio
from functools import partial

from gateway.domain import SearchHit
from gateway.ports import Page
from gateway.storage.sqlite import indexing, search
from gateway.storage.sqlite.parts.part import Part
from gateway.storage.texts import is_storable

_CAUGHT_UP = 2000
"""Messages that a search brings into the index before it begins. An import can leave more, for `index_messages`."""

_CAUGHT_UP_BYTES = 4_000_000
"""… or bytes of them."""

_LONG = 32_768
"""Bytes that are made into words in a thread of their own."""


class Search(Part):
    """ports.search.Search."""

    async def search(
        self, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[SearchHit]:
        if not is_storable(user_id):
            return Page((), has_more=False)
        await self._index(user_id, _CAUGHT_UP)
        return await self._lanes.search(
            lambda connection: search.find(
                connection, user_id, query, limit=limit, offset=offset, include_archived=include_archived
            ),
            deadline=self._lanes.deadline(),
        )

    async def index_messages(self, *, limit: int) -> int:
        self._backlog = await self._lanes.search(indexing.backlog)  # first: it is to be seen when indexing fails, too
        return await self._index(None, limit)

    async def _index(self, user_id: str | None, limit: int) -> int:
        """Bring what is stored of one user, or of everyone, into the index. Returns of how many texts, or about."""
        count = size = 0
        while count < limit and size < _CAUGHT_UP_BYTES:
            left = limit - count
            lacking = await self._lanes.search(partial(indexing.read_lacking, user_id=user_id, limit=left))
            if not lacking:
                break
            is_long = indexing.size_of(lacking) > _LONG
            indexed = await asyncio.to_thread(indexing.words_for, lacking) if is_long else indexing.words_for(lacking)
            await self._lanes.write(partial(indexing.write, indexed=indexed))
            count += sum(max(1, len(session.bodies)) for session in lacking)
            size += indexing.size_of(lacking)
        return count
