"""Works that open and close a turn, and the ledger. None of them costs more in a longer session."""

import sqlite3

from gateway.domain import LedgerEntry, Session
from gateway.ports import ClosedTurn, OpenedTurn, Page, TurnOpening
from gateway.storage.errors import ConstraintViolated
from gateway.storage.rules import growth, most_messages, newest_messages, page, read_after
from gateway.storage.sqlite import sessions
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import (
    from_instructions,
    from_ledger_entry,
    from_message,
    from_time,
    to_history_message,
    to_ledger_entry,
)


def open_turn(connection: sqlite3.Connection, opening: TurnOpening) -> OpenedTurn | None:
    session = sessions.find(connection, opening.user_id, opening.session_id)
    if session is None:
        return None
    after = read_after(opening, session)
    if after >= session.last_seq:
        return OpenedTurn(session, (), after)
    rows = connection.execute(
        QUERIES["newest_messages"],
        {"session_id": session.id, "after": after, "limit": most_messages(opening, session)},
    )
    messages = newest_messages(opening, session, [to_history_message(row) for row in rows])
    return OpenedTurn(session, messages, after)


def open_or_create(connection: sqlite3.Connection, opening: TurnOpening, create: Session) -> OpenedTurn | None:
    """Whoever comes first makes the session; an id that is taken by somebody else stays theirs, and is not found."""
    sessions.create_if_free(connection, create)
    return open_turn(connection, opening)


def close_turn(connection: sqlite3.Connection, turn: ClosedTurn) -> int:
    connection.execute(QUERIES["add_ledger_entry"], from_ledger_entry(turn.entry))
    if turn.entry.session_id is None:
        return 0
    first = _grow_session(connection, turn) - len(turn.messages) + 1
    connection.executemany(
        QUERIES["add_message"],
        [from_message(message, turn.entry, seq) for seq, message in enumerate(turn.messages, start=first)],
    )
    return first if turn.messages else 0


def _grow_session(connection: sqlite3.Connection, turn: ClosedTurn) -> int:
    """The session's new `last_seq`. That seqs have no gaps and no doubles rests on this being one UPDATE."""
    entry, grown = turn.entry, growth(turn)
    rows = connection.execute(
        QUERIES["grow_session"],
        {
            "id": entry.session_id,
            "user_id": entry.user_id,
            "messages": grown.messages,
            "failed": grown.failed,
            "tokens": grown.tokens,
            "exchange": grown.exchange,
            "instructions": None if turn.instructions is None else from_instructions(turn.instructions),
            "at": from_time(entry.created_at),
        },
    ).fetchall()
    if not rows:
        raise ConstraintViolated(f"user {entry.user_id!r} has no session {entry.session_id!r}")
    return int(rows[0][0])


def list_ledger(connection: sqlite3.Connection, user_id: str, *, limit: int, offset: int) -> Page[LedgerEntry]:
    rows = connection.execute(QUERIES["list_ledger"], {"user_id": user_id, "limit": limit + 1, "offset": offset})
    return page([to_ledger_entry(row) for row in rows], limit)
