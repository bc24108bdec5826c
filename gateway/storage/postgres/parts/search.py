"""Search, and the index behind it, which is brought up to date first for the user who searches."""

from functools import partial

from gateway.domain import SearchHit
from gateway.ports import Page
from gateway.storage.postgres import search
from gateway.storage.postgres.parts.part import NOTHING, Part
from gateway.storage.texts import is_storable
from gateway.storage.words import phrases_of

_MOST_TO_INDEX = 2000
"""Messages that a search adds to the index before it looks."""

_MOST_WORKS = 20
"""… in so many works at most: of long messages, each does a few."""


class Search(Part):
    """ports.search.Search."""

    async def search(
        self, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[SearchHit]:
        phrases = phrases_of(query)
        if not phrases or not is_storable(user_id):
            return NOTHING
        await self._index(_MOST_TO_INDEX, user_id)
        return await self._read(
            lambda link: search.find(
                link, user_id, phrases, limit=limit, offset=offset, include_archived=include_archived
            )
        )

    async def index_messages(self, *, limit: int) -> int:
        self._backlog = await self._read_long(search.backlog)  # first: it is to be seen when indexing fails, too
        return await self._index(limit, None)

    async def _index(self, limit: int, user_id: str | None) -> int:
        indexed = 0
        for _ in range(_MOST_WORKS):
            work = partial(search.index, limit=limit - indexed, user_id=user_id)
            count, is_more = await self._write(work)
            indexed += count
            if indexed >= limit or not is_more:
                break
        return indexed
