"""Works on the search index. Two processes that index one session at once write the same, one after the other."""

import asyncio
from collections.abc import Sequence

from gateway.domain import SearchHit
from gateway.ports import Page
from gateway.storage.postgres.pool import Link
from gateway.storage.postgres.rows import to_hit
from gateway.storage.postgres.vectors import owned_query, to_query, to_vector
from gateway.storage.rules import MOST_COUNTED, page
from gateway.storage.words import snippet, text_of

_SESSIONS = 100
"""Of the queue, so many are looked at in one work."""

_MOST_BYTES = 1_000_000
"""Of one session's messages, about so much is made into words at a time."""


async def find(
    link: Link, user_id: str, phrases: Sequence[Sequence[str]], *, limit: int, offset: int, include_archived: bool
) -> Page[SearchHit]:
    rows = await link.rows(
        "search", user_id, owned_query(user_id, phrases), to_query(phrases), include_archived, limit + 1, offset
    )
    # The last column is a message's body, or a title where the session is all that was found.
    texts = [row[-1] if row[3] is None else text_of(row[-1].encode()) for row in rows]
    return page([to_hit(row, snippet(text, phrases)) for row, text in zip(rows, texts, strict=True)], limit)


async def index(link: Link, limit: int, user_id: str | None) -> tuple[int, bool]:
    """Index about `limit` messages, of everyone or of one user. Returns how many, and whether more may be waiting."""
    indexed = 0
    waiting = await _waiting(link, user_id)
    for session_id, version in waiting:
        count, is_all = await _index_session(link, session_id, version, limit - indexed)
        indexed += count
        if not is_all:
            return indexed, True
    return indexed, len(waiting) == _SESSIONS


async def backlog(link: Link) -> int:
    """How many sessions lack something, up to MOST_COUNTED."""
    return int(await link.value("count_sessions_to_index", MOST_COUNTED))


async def _waiting(link: Link, user_id: str | None) -> Sequence[tuple[str, int]]:
    if user_id is None:
        rows = await link.rows("sessions_to_index", _SESSIONS)
    else:
        rows = await link.rows("sessions_of_user_to_index", _SESSIONS, user_id)
    return [(row[0], row[1]) for row in rows]


async def _index_session(link: Link, session_id: str, version: int, limit: int) -> tuple[int, bool]:
    """How many messages, and whether those were all of the session's."""
    session = await link.row("title_to_index", session_id)
    messages = await link.rows("messages_to_index", session_id, limit, _MOST_BYTES)
    is_all = len(messages) < limit and sum(len(body.encode()) for _, body in messages) < _MOST_BYTES
    if session is not None:
        user_id, title, created_at = session
        texts = [(0, title or ""), *[(seq, body) for seq, body in messages]]
        seqs, vectors = await asyncio.to_thread(_vectors, user_id, texts)
        await link.row("index_texts", session_id, user_id, seqs, vectors, created_at)
    if is_all:
        await link.row("end_indexing", session_id, version)
    return len(messages), is_all


def _vectors(user_id: str, texts: Sequence[tuple[int, str]]) -> tuple[list[int], list[str]]:
    """The title, with seq 0, is text; messages are JSON."""
    return (
        [seq for seq, _ in texts],
        [to_vector(user_id, text_of(text.encode()) if seq else text) for seq, text in texts],
    )
