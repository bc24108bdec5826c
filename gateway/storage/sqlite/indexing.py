"""Works that bring the search index up to date: what it lacks is read, made into words elsewhere, and written.

Invariant: what `search_queue` does not name is all in the index. A session leaves the queue only as it was read: with
the `version` that its place in the queue got from its latest title, or from whoever queued it first, and with the same
`last_seq`, which every message raises. A turn need not write a queue that its session stands in already.

Words are written only for the session that they were read from: it may have been purged meanwhile, and even made anew,
and nothing of the old one may come back.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.storage.rules import MOST_COUNTED
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.words import text_of, words_of

_MOST_BYTES = 1_000_000

TITLE = 0
"""The seq of a session's title."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """What the index lacks of one session."""

    session_id: str
    user_id: str
    version: int
    """Of its row in the queue: which title the rest was read with."""
    created_at: int
    last_seq: int
    name: str | None
    bodies: Sequence[tuple[int, bytes]]
    """Of messages, with their seq."""
    is_all: bool
    """False if there was no room for more."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """The words of one session's texts, by seq, ready to be written."""

    lacking: Lacking
    title: str | None
    words: Sequence[tuple[int, str]]


def read_lacking(connection: sqlite3.Connection, *, user_id: str | None, limit: int) -> list[Lacking]:
    """About `limit` texts of one user or of everyone, and about a megabyte: the writer is not to be kept for long."""
    found: list[Lacking] = []
    space = _MOST_BYTES
    name = "list_search_queue" if user_id is None else "list_search_queue_of_user"
    for row in connection.execute(QUERIES[name], {"user_id": user_id, "limit": limit}).fetchall():
        lacking = _read(connection, row, limit, space)
        found.append(lacking)
        limit -= max(1, len(lacking.bodies))
        space -= size_of([lacking])
        if limit <= 0 or space <= 0:
            break
    return found


def _read(
    connection: sqlite3.Connection, row: tuple[str, str, int, int, int, str | None], limit: int, space: int
) -> Lacking:
    """At least one message, if there is one."""
    session_id, user_id, version, created_at, last_seq, name = row
    bodies: list[tuple[int, bytes]] = []
    is_all = True
    for seq, body in connection.execute(
        QUERIES["list_unindexed_messages"], {"session_id": session_id, "limit": limit + 1}
    ):
        if bodies and (len(bodies) == limit or len(body) > space):
            is_all = False
            break
        bodies.append((seq, body))
        space -= len(body)
    return Lacking(session_id, user_id, version, created_at, last_seq, name, bodies, is_all)


def backlog(connection: sqlite3.Connection) -> int:
    """How many sessions lack something, up to MOST_COUNTED."""
    [(count,)] = connection.execute(QUERIES["count_search_queue"], {"limit": MOST_COUNTED})
    return int(count)


def size_of(lacking: Sequence[Lacking]) -> int:
    """Bytes to be made into words."""
    return sum(len(body) for session in lacking for _, body in session.bodies)


def words_for(lacking: Sequence[Lacking]) -> list[Indexed]:
    """Takes its time: for many messages, call it in a thread of its own."""
    return [
        Indexed(
            session,
            None if session.name is None else " ".join(words_of(session.name)),
            [(seq, " ".join(words_of(text_of(body)))) for seq, body in session.bodies],
        )
        for session in lacking
    ]


def write(connection: sqlite3.Connection, *, indexed: Sequence[Indexed]) -> None:
    for session in indexed:
        _write_session(connection, session)


def _write_session(connection: sqlite3.Connection, indexed: Indexed) -> None:
    lacking = indexed.lacking
    asked = {
        "session_id": lacking.session_id,
        "user_id": lacking.user_id,
        "created_at": lacking.created_at,
        "version": lacking.version,
        "last_seq": lacking.last_seq,
    }
    if not connection.execute(QUERIES["is_same_session"], asked).fetchone()[0]:
        return
    texts = [{**asked, "seq": seq, "words": words} for seq, words in indexed.words]
    connection.executemany(QUERIES["add_text"], texts)
    if lacking.is_all and connection.execute(QUERIES["leave_search_queue"], asked).rowcount:
        # Only now: with a later change comes a later title, and perhaps it is in the index already.
        _write_title(connection, lacking, indexed.title)


def _write_title(connection: sqlite3.Connection, lacking: Lacking, words: str | None) -> None:
    asked = {"session_id": lacking.session_id, "user_id": lacking.user_id, "seq": TITLE, "words": words}
    connection.execute(QUERIES["remove_title" if words is None else "set_title"], asked)
