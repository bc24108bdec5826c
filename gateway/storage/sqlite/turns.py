"""Works that open and close a turn, let turns wait, and the ledger. None of them costs more in a longer session."""

import sqlite3
import time
from collections.abc import Sequence

import orjson

from gateway.domain import LedgerEntry, Session
from gateway.ports import ClosedTurn, Hold, Locked, OpenedTurn, Page, TurnOpening
from gateway.storage.rules import appending, most_messages, newest_messages, page, read_after
from gateway.storage.sqlite import messages, sessions
from gateway.storage.sqlite.holds import Taking
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import from_ledger_entry, to_history_message, to_ledger_entry
from gateway.storage.texts import is_storable


def open_turn(connection: sqlite3.Connection, opening: TurnOpening, taking: Taking) -> OpenedTurn | Locked | None:
    """What is found after the `taking` of it. A session that cannot be held answers as it would without a hold."""
    session = sessions.find(connection, opening.user_id, opening.session_id)
    if session is None:
        return None
    if session.archived_at is not None:
        return OpenedTurn(session, (), 0)
    if taking is Taking.REFUSED or (taking is Taking.TAKEN and _has_earlier(connection, session.id, opening.hold)):
        return Locked()
    after = read_after(opening, session)
    if after >= session.last_seq:
        return OpenedTurn(session, (), after)
    rows = connection.execute(
        QUERIES["newest_messages"],
        {"session_id": session.id, "after": after, "limit": most_messages(opening, session)},
    )
    return OpenedTurn(session, newest_messages(opening, session, [to_history_message(row) for row in rows]), after)


def open_or_create(
    connection: sqlite3.Connection, opening: TurnOpening, create: Session, taking: Taking
) -> OpenedTurn | Locked | None:
    """Whoever comes first makes the session; an id that is taken by somebody else stays theirs, and is not found."""
    sessions.create_if_free(connection, create)
    return open_turn(connection, opening, taking)


def close_turn(connection: sqlite3.Connection, turn: ClosedTurn) -> int | None:
    connection.execute(QUERIES["add_ledger_entry"], from_ledger_entry(turn.entry))
    if turn.entry.session_id is None:
        return 0
    if turn.hold is not None:
        leave_queue(connection, turn.hold)
    return messages.append(connection, appending(turn))


def list_ledger(connection: sqlite3.Connection, user_id: str, *, limit: int, offset: int) -> Page[LedgerEntry]:
    if not is_storable(user_id):
        return Page((), has_more=False)
    rows = connection.execute(QUERIES["list_ledger"], {"user_id": user_id, "limit": limit + 1, "offset": offset})
    return page([to_ledger_entry(row) for row in rows], limit)


# ── who waits ────────────────────────────────────────────────────────────────────────────────────────────────────


def join_queue(connection: sqlite3.Connection, user_id: str, session_id: str, lease: float) -> int | None:
    """A new ticket."""
    if sessions.find(connection, user_id, session_id) is None:
        return None
    parameters = {"session_id": session_id, "expires_at": _now() + _microseconds(lease)}
    return int(connection.execute(QUERIES["add_ticket"], parameters).fetchall()[0][0])


def renew_tickets(connection: sqlite3.Connection, tickets: Sequence[int], lease: float) -> None:
    now = _now()
    parameters = {"tickets": orjson.dumps(tickets).decode(), "expires_at": now + _microseconds(lease)}
    connection.execute(QUERIES["renew_tickets"], parameters)
    remove_lapsed_tickets(connection)


def remove_lapsed_tickets(connection: sqlite3.Connection) -> None:
    connection.execute(QUERIES["remove_lapsed_tickets"], {"now": _now()})


def leave_queue(connection: sqlite3.Connection, hold: Hold) -> None:
    if hold.ticket is not None:
        connection.execute(QUERIES["remove_ticket"], {"ticket": hold.ticket})


def _has_earlier(connection: sqlite3.Connection, session_id: str, hold: Hold | None) -> bool:
    """Whether somebody waits for the session who comes before this hold."""
    parameters = {"session_id": session_id, "ticket": hold and hold.ticket, "now": _now()}
    return bool(connection.execute(QUERIES["has_earlier_ticket"], parameters).fetchone()[0])


def _now() -> int:
    """Microseconds since 1970, by the clock that all processes of the machine share."""
    return time.time_ns() // 1000


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)
