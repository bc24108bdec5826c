"""Works on the messages of a session: reading them in order, and appending."""

import sqlite3
from collections.abc import Sequence

import orjson

from gateway.domain import StoredMessage
from gateway.ports import Appending, Page
from gateway.storage.rules import check_appending, growth, page, refuse_archived
from gateway.storage.sqlite import sessions
from gateway.storage.sqlite.queries import QUERIES, execute_rows
from gateway.storage.sqlite.rows import Row, from_growth, from_message, to_stored_message


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
    return append(connection, (appending,))[0]


def append(connection: sqlite3.Connection, turns: Sequence[Appending]) -> list[int | None]:
    """For each turn, all of different sessions, the seq of its first message, 0 if it has none.

    None if the user has no such session, not even a deleted one. Costs the same in a session of any length. What was
    appended is left to be indexed by who next searches.
    """
    rows = [from_growth(turn, growth(turn)) for turn in turns]
    execute_rows(connection, "grow_sessions", rows)
    last_seqs = _last_seqs(connection, [row[:3] for row in rows])
    found = [(turn, last_seqs[turn.session_id]) for turn in turns if turn.session_id in last_seqs and turn.messages]
    messages = [
        from_message(message, turn, seq)
        for turn, last in found
        for seq, message in enumerate(turn.messages, start=last - len(turn.messages) + 1)
    ]
    execute_rows(connection, "add_messages", messages)
    execute_rows(connection, "queue_messages", [(turn.session_id, turn.user_id) for turn, _ in found])
    return [_first_seq(turn, last_seqs.get(turn.session_id)) for turn in turns]


def _last_seqs(connection: sqlite3.Connection, keys: Sequence[Row]) -> dict[str, int]:
    """After the sessions have grown: that seqs have no gaps and no doubles rests on both being one transaction."""
    seqs: dict[str, int] = {}
    for (found,) in execute_rows(connection, "last_seqs", keys):
        seqs.update(orjson.loads(found))
    return seqs


def _first_seq(turn: Appending, last: int | None) -> int | None:
    if last is None:
        return None
    return last - len(turn.messages) + 1 if turn.messages else 0
