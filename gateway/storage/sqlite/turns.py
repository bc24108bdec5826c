"""Works that open and close a turn, and let turns wait. None of them costs more in a longer session."""

import sqlite3
import time
from collections.abc import Iterator, Sequence

import orjson

from gateway.domain import Session
from gateway.ports import ClosedTurn, Hold, Locked, OpenedTurn, TurnOpening
from gateway.storage.rules import appending, most_messages, newest_messages, nothing_new, read_after
from gateway.storage.sqlite import messages, sessions
from gateway.storage.sqlite.holds import Taking
from gateway.storage.sqlite.queries import QUERIES, execute_rows
from gateway.storage.sqlite.rows import from_ledger_entry, to_history_message, to_session


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


def glance_at_turn(connection: sqlite3.Connection, opening: TurnOpening) -> OpenedTurn | None:
    """What open_turn says of a session that was just taken, if nothing is to be read but the session; else None."""
    ticket = None if opening.hold is None else opening.hold.ticket
    asked = {"id": opening.session_id, "user_id": opening.user_id, "ticket": ticket, "now": _now()}
    row = connection.execute(QUERIES["glance_at_session"], asked).fetchone()
    if row is None or row[-1]:
        return None
    return nothing_new(opening, to_session(row))


def open_or_create(
    connection: sqlite3.Connection, opening: TurnOpening, create: Session, taking: Taking
) -> OpenedTurn | Locked | None:
    """Whoever comes first makes the session; an id that is taken by somebody else stays theirs, and is not found."""
    sessions.create_if_free(connection, create)
    return open_turn(connection, opening, taking)


def close_turns(connection: sqlite3.Connection, turns: Sequence[ClosedTurn]) -> list[int | None]:
    """Close turns together, in a few statements for all of them. Returns what `append` says of each."""
    execute_rows(connection, "add_ledger_entries", [from_ledger_entry(turn.entry) for turn in turns])
    seqs: dict[str, int | None] = {}
    for distinct in _apart(turns):
        appended = messages.append(connection, [appending(turn) for turn in distinct])
        seqs.update(zip([turn.entry.turn_id for turn in distinct], appended, strict=True))
    for turn in turns:
        if turn.hold is not None:
            leave_queue(connection, turn.hold)
    return [seqs.get(turn.entry.turn_id, 0) for turn in turns]


def _apart(turns: Sequence[ClosedTurn]) -> Iterator[list[ClosedTurn]]:
    """The turns of sessions in groups without two of the same session: as a rule, one group."""
    left = [turn for turn in turns if turn.entry.session_id is not None]
    while left:
        group = {turn.entry.session_id: turn for turn in reversed(left)}
        yield list(group.values())
        left = [turn for turn in left if group[turn.entry.session_id] is not turn]


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
