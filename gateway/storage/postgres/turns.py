"""Works that open and close a turn, its hold, and the ledger. None of them costs more in a longer session."""

from collections.abc import Sequence

from asyncpg import Record

from gateway.domain import LedgerEntry, Session
from gateway.ports import ClosedTurn, Hold, Locked, OpenedTurn, Page, TurnOpening
from gateway.storage.postgres import sessions
from gateway.storage.postgres.pool import Link
from gateway.storage.postgres.rows import (
    SESSION_COLUMNS,
    from_ledger_entry,
    from_messages,
    to_history_messages,
    to_ledger_entry,
    to_session,
)
from gateway.storage.rules import appending, newest_messages, page

_AFTER = SESSION_COLUMNS
_MESSAGES = slice(_AFTER + 1, _AFTER + 7)
_HELD = slice(_AFTER + 7, None)


async def open_turn(link: Link, opening: TurnOpening) -> OpenedTurn | Locked | None:
    opened = await _open_existing(link, opening)
    if opened is not None or (create := opening.create) is None:
        return opened
    holder = None if opening.hold is None else opening.hold.id
    if await sessions.create_if_free(link, create, holder, opening.lease):
        return OpenedTurn(create, (), 0)
    return await _open_existing(link, opening)  # somebody was faster: another turn of theirs, or of another user


async def _open_existing(link: Link, opening: TurnOpening) -> OpenedTurn | Locked | None:
    asked = (opening.session_id, opening.user_id, opening.limit, opening.known_seq, opening.known_epoch)
    if opening.hold is None:
        row = await link.row("read_turn", *asked)
        return None if row is None else _opened(opening, row)
    hold = opening.hold
    while (row := await link.row("open_turn", *asked, hold.id, hold.ticket, opening.lease)) is not None:
        session = to_session(row)
        held = row[_HELD]
        if held == (session.last_seq, session.epoch, session.updated_at):
            return _opened(opening, row)
        if held[0] is None:
            return Locked() if session.archived_at is None else OpenedTurn(session, (), 0)
        # The row was just being changed by another, so that we hold it now, and read it before that: read it again.
    return None


def _opened(opening: TurnOpening, row: Record) -> OpenedTurn:
    session = to_session(row)
    return OpenedTurn(
        session, newest_messages(opening, session, to_history_messages(row[_MESSAGES])), _after(session, row)
    )


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


async def list_ledger(link: Link, user_id: str, *, limit: int, offset: int) -> Page[LedgerEntry]:
    return page([to_ledger_entry(row) for row in await link.rows("list_ledger", user_id, limit + 1, offset)], limit)
