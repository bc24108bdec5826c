"""Search, in memory."""

from gateway.domain import SearchHit
from gateway.ports import Page
from gateway.storage.memory.parts.part import Part
from gateway.storage.memory.search import search
from gateway.storage.rules import page


class Search(Part):
    """ports.search.Search."""

    async def search(
        self, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[SearchHit]:
        found = search(self._opened(), user_id, query, include_archived=include_archived)
        return page(found[offset : offset + limit + 1], limit)

    async def index_messages(self, *, limit: int) -> int:
        """Nothing is ever left to do: the messages themselves are searched."""
        del limit
        self._opened()
        return 0
