"""Works on the messages of a session: reading them in order, and appending."""

import sqlite3
from collections.abc import Sequence

from gateway.domain import StoredMessage
from gateway.ports import Appending, Page
from gateway.storage.rules import check_appending, growth, page, refuse_archived
from gateway.storage.sqlite import sessions
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import from_instructions, from_message, from_time, from_time_or_none, to_stored_message


def list_page(
    connection: sqlite3.Connection, user_id: str, session_id: str, *, limit: int, offset: int
) -> Page[StoredMessage] | None:
    if sessions.find(connection, user_id, session_id) is None:
        return None
    rows = connection.execute(
        QUERIES["list_messages"], {"session_id": session_id, "limit": limit + 1, "offset": offset}
    )
    return page([to_stored_message(row) for row in rows], limit)


def read_after(
    connection: sqlite3.Connection, user_id: str, session_id: str, *, after: int, limit: int
) -> Sequence[StoredMessage] | None:
    if sessions.find(connection, user_id, session_id) is None:
        return None
    rows = connection.execute(QUERIES["read_messages"], {"session_id": session_id, "after": after, "limit": limit})
    return [to_stored_message(row) for row in rows]


def add(connection: sqlite3.Connection, appending: Appending) -> int | None:
    session = sessions.find(connection, appending.user_id, appending.session_id)
    if session is None:
        return None
    refuse_archived(session)
    check_appending(appending)
    return append(connection, appending)


def append(connection: sqlite3.Connection, appending: Appending) -> int | None:
    """The seq of the first message, 0 if there is none. None if the user has no such session, not even a deleted one.

    Costs the same in a session of any length. What was appended is left to be indexed by who next searches.
    """
    last = _grow(connection, appending)
    if last is None:
        return None
    if not appending.messages:
        return 0
    first = last - len(appending.messages) + 1
    connection.executemany(
        QUERIES["add_message"],
        [from_message(message, appending, seq) for seq, message in enumerate(appending.messages, start=first)],
    )
    sessions.queue_for_search(connection, appending.user_id, appending.session_id)
    return first


def _grow(connection: sqlite3.Connection, appending: Appending) -> int | None:
    """The session's new `last_seq`. That seqs have no gaps and no doubles rests on this being one UPDATE."""
    grown = growth(appending)
    rows = connection.execute(
        QUERIES["grow_session"],
        {
            "id": appending.session_id,
            "user_id": appending.user_id,
            "messages": grown.messages,
            "failed": grown.failed,
            "tokens": grown.tokens,
            "exchange": grown.exchange,
            "instructions": None if appending.instructions is None else from_instructions(appending.instructions),
            "at": from_time(appending.created_at),
            "created_at": from_time_or_none(appending.session_created_at),
        },
    ).fetchall()  # an UPDATE with RETURNING is only done once it was read to its end
    return int(rows[0][0]) if rows else None
