"""Turns and their holds, in memory."""

from collections.abc import Sequence

from gateway.ports import ClosedTurn, Hold, Locked, OpenedTurn, TurnOpening
from gateway.storage.memory.parts.part import Part
from gateway.storage.memory.tables import refuse
from gateway.storage.rules import (
    appending,
    check_session,
    check_turn,
    is_meant,
    most_messages,
    newest_messages,
    read_after,
    without_choices,
)


class Turns(Part):
    """ports.turns.Turns."""

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        tables = self._opened()
        if opening.create is not None and opening.create.id not in tables.sessions:
            check_session(opening.create)
            tables.add_session(opening.create)
        session = tables.find(opening.user_id, opening.session_id)
        if session is None:
            return None
        if session.archived_at is not None:
            return OpenedTurn(session, (), 0)
        if opening.hold is not None and not tables.holds.take(session.id, opening.hold):
            return Locked()
        after = read_after(opening, session)
        found = list(tables.injectable(session.id, after, most_messages(opening, session)))
        return OpenedTurn(session, newest_messages(opening, session, found), after)

    async def queue_turn(self, user_id: str, session_id: str, *, lease: float) -> int | None:
        del lease
        tables = self._opened()
        return None if tables.find(user_id, session_id) is None else tables.holds.queue(session_id)

    async def renew_holds(self, holds: Sequence[tuple[str, Hold]], *, lease: float) -> None:
        """Holds of this store end with its process: there is no lease to renew."""
        del holds, lease
        self._opened()

    async def release_hold(self, session_id: str, hold: Hold) -> None:
        self._opened().holds.let_go(session_id, hold)

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        tables, entry = self._opened(), turn.entry
        check_turn(turn)
        refuse(entry.turn_id in tables.ledger, f"there is a turn {entry.turn_id!r} already")
        first: int | None = 0
        if entry.session_id is not None:
            session, added = tables.owned(entry.user_id, entry.session_id), appending(turn)
            first = None if session is None or not is_meant(session, added) else tables.append(session, added)
            if turn.hold is not None:
                tables.holds.let_go(entry.session_id, turn.hold)
        tables.ledger[entry.turn_id] = entry if entry.user_id in tables.users else without_choices(entry)
        return first
