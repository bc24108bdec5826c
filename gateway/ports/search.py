"""How a store is searched."""

from typing import Protocol

from gateway.domain import SearchHit
from gateway.ports.page import Page


class Search(Protocol):
    """Search, and the index that it needs: part of Store."""

    async def search(
        self, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[SearchHit]:
        """The user's messages and session titles in which all words of `query` stand, the best first.

        What words are, and that a query is nothing but text, is said in storage/words.py. Everything that was stored
        before the call is found, save after an import of very many messages: those come as `index_messages` goes on.
        """

    async def index_messages(self, *, limit: int) -> int:
        """Add stored messages to the search index, about `limit` of them. Returns how many; 0 if all are in."""
