"""Works that open and close a turn, and its hold. None of them costs more in a longer session."""

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from gateway.domain import Session
from gateway.ports import ClosedTurn, Hold, Locked, OpenedTurn, TurnOpening
from gateway.storage.postgres import sessions
from gateway.storage.postgres.pool import Link
from gateway.storage.postgres.rows import (
    SESSION_COLUMNS,
    from_ledger_entry,
    from_messages,
    from_session,
    to_history_messages,
    to_session,
)
from gateway.storage.rules import appending, newest_messages

_AFTER = SESSION_COLUMNS
_MESSAGES = slice(_AFTER + 1, _AFTER + 7)
_IS_CREATED = _AFTER + 7
_HELD = slice(_IS_CREATED + 1, None)

_NO_SESSION = (None,) * SESSION_COLUMNS
"""For a turn that makes none."""


async def open_turn(link: Link, opening: TurnOpening) -> OpenedTurn | Locked | None:
    opened = await _open(link, opening)
    if opened is None and opening.create is not None:
        # It is not this user's, or somebody else was faster: what they have made could not be seen yet.
        opened = await _open(link, opening)
    return opened


async def _open(link: Link, opening: TurnOpening) -> OpenedTurn | Locked | None:
    hold, create = opening.hold, opening.create
    if hold is None:
        return await _read(link, opening)
    holding = (hold.id, hold.ticket, opening.lease)
    creating = _NO_SESSION if create is None else from_session(create)
    while (row := await link.one("open_turn", *_asked(opening), *holding, *creating))[0] is not None:
        session = to_session(row)
        held = row[_HELD]
        if held == (session.last_seq, session.epoch, session.updated_at):
            return _opened(opening, session, row)
        if held[0] is None:
            return Locked() if session.archived_at is None else OpenedTurn(session, (), 0)
        # The row was just being changed by another, so that we hold it now, and read it before that: read it again.
    return OpenedTurn(create, (), 0) if create is not None and row[_IS_CREATED] else None


async def _read(link: Link, opening: TurnOpening) -> OpenedTurn | None:
    row = await link.row("read_turn", *_asked(opening))
    if row is not None:
        return _opened(opening, to_session(row), row)
    create = opening.create
    return OpenedTurn(create, (), 0) if create is not None and await sessions.create_if_free(link, create) else None


def _asked(opening: TurnOpening) -> tuple[Any, ...]:
    return opening.session_id, opening.user_id, opening.limit, opening.known_seq, opening.known_epoch


def _opened(opening: TurnOpening, session: Session, row: Record) -> OpenedTurn:
    messages = newest_messages(opening, session, to_history_messages(row[_MESSAGES]))
    return OpenedTurn(session, messages, _after(session, row))


def _after(session: Session, row: Record) -> int:
    """An archived session is not read at all."""
    return int(row[_AFTER]) if session.archived_at is None else 0


async def queue_turn(link: Link, user_id: str, session_id: str, lease: float) -> int | None:
    ticket: int | None = await link.value("queue_turn", session_id, user_id, lease)
    return ticket


async def renew_holds(link: Link, holds: Sequence[tuple[str, Hold]], lease: float) -> None:
    await link.row(
        "renew_holds",
        [session_id for session_id, _ in holds],
        [hold.id for _, hold in holds],
        [hold.ticket for _, hold in holds],
        lease,
    )


async def release_hold(link: Link, session_id: str, hold: Hold) -> None:
    await link.row("release_hold", session_id, hold.id, hold.ticket)


async def close_turn(link: Link, turn: ClosedTurn) -> int | None:
    if turn.entry.session_id is None:
        await link.row("add_ledger_entry", *from_ledger_entry(turn.entry))
        return 0
    hold = turn.hold
    before = await link.value(
        "close_turn",
        *from_ledger_entry(turn.entry),
        *sessions.grown(appending(turn)),
        None if hold is None else hold.id,
        None if hold is None else hold.ticket,
        *from_messages(turn.messages),
        turn.session_created_at,
    )
    if before is None:
        return None
    return before + 1 if turn.messages else 0
