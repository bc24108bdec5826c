"""The work that searches: FTS5 finds, ranks and counts nothing but the words that storage/words.py makes."""

import sqlite3
from collections.abc import Sequence

from gateway.domain import SearchHit
from gateway.ports import Page
from gateway.storage.rules import page
from gateway.storage.sqlite.indexing import TITLE
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import to_time
from gateway.storage.words import phrases_of, snippet, text_of


def find(
    connection: sqlite3.Connection, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool
) -> Page[SearchHit]:
    phrases = phrases_of(query)
    if not phrases:
        return Page((), has_more=False)
    rows = connection.execute(
        QUERIES["search"],
        {
            "match": _match(user_id, phrases),
            "user_id": user_id,
            "include_archived": include_archived,
            "limit": limit + 1,
            "offset": offset,
        },
    ).fetchall()
    found = page(rows, limit)
    return Page([_to_hit(row, phrases) for row in found.items], has_more=found.has_more)


def _match(user_id: str, phrases: Sequence[Sequence[str]]) -> str:
    """FTS5's query for the user's texts that have all phrases. Everything of a client's stands between double quotes.

    The index takes an id apart at its dashes and forgets its case, so that this is only nearly the user: the query's
    own condition is exact.
    """
    words = " AND ".join(_quoted(" ".join(phrase)) for phrase in phrases)
    return f"owner : {_quoted(user_id)} AND words : ({words})"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _to_hit(
    row: tuple[str, str | None, int, str | None, str | None, bytes | None, int], phrases: list[list[str]]
) -> SearchHit:
    session_id, name, seq, message_id, role, body, created_at = row
    return SearchHit(
        session_id=session_id,
        session_name=name,
        seq=seq,
        message_id=message_id,
        role=role,
        snippet=snippet(name or "" if seq == TITLE or body is None else text_of(body), phrases),
        created_at=to_time(created_at),
    )
