"""Turns and their holds: what is read once a session is taken, and what is written together."""

from collections.abc import Sequence

from gateway.ports import ClosedTurn, Hold, Locked, OpenedTurn, TurnOpening
from gateway.storage.rules import check_session, check_turn, nothing_new
from gateway.storage.sqlite import turns
from gateway.storage.sqlite.batches import Together
from gateway.storage.sqlite.holds import Taking
from gateway.storage.sqlite.parts.part import Part
from gateway.storage.texts import is_storable


class Turns(Part):
    """ports.turns.Turns."""

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        """Reads after the session was taken, never before: what the last holder of it committed must be seen.

        That is so because a lane begins a batch, and with it a snapshot, only after it was given the batch's works.
        """
        hold, holds = opening.hold, self._lanes.holds
        if hold is None:
            return await self._open(opening, Taking.KEPT)
        taking = holds.take(hold.id, opening.user_id, opening.session_id)
        if taking is not Taking.TAKEN:
            return await self._open(opening, taking)
        if (recalled := self._recall(opening)) is not None:
            return recalled
        is_held = False
        changes = self._known.changes
        try:
            opened = self._glance(opening) or await self._open(opening, taking)
            if isinstance(opened, OpenedTurn) and opened.session.archived_at is None:
                is_held = True
                if hold.ticket is None:  # else others may wait, too
                    self._known.put(opened.session, changes=changes)
        finally:
            if not is_held:
                holds.let_go(hold.id)
        return opened

    def _recall(self, opening: TurnOpening) -> OpenedTurn | None:
        """What this process has stored itself, and has cached: nothing is read if it is alone, see presence.py."""
        if not self._lanes.is_alone:
            return None
        session = self._known.get((opening.user_id, opening.session_id))
        return None if session is None else nothing_new(opening, session)

    def _glance(self, opening: TurnOpening) -> OpenedTurn | None:
        """At a session that has had a turn here not long ago, since its window is cached: see glance.py."""
        if opening.known_seq == 0 or not is_storable(opening.session_id):
            return None
        return self._lanes.glance(lambda connection: turns.glance_at_turn(connection, opening))

    async def _open(self, opening: TurnOpening, taking: Taking) -> OpenedTurn | Locked | None:
        deadline = self._lanes.deadline()
        opened = await self._lanes.read(
            lambda connection: turns.open_turn(connection, opening, taking), deadline=deadline
        )
        if opened is not None or (create := opening.create) is None:
            return opened
        check_session(create)
        return await self._lanes.write(
            lambda connection: turns.open_or_create(connection, opening, create, taking), deadline=deadline
        )

    async def queue_turn(self, user_id: str, session_id: str, *, lease: float) -> int | None:
        with self._changing(user_id, session_id):  # not the session, but what opening it says
            return await self._lanes.write(lambda connection: turns.join_queue(connection, user_id, session_id, lease))

    async def renew_holds(self, holds: Sequence[tuple[str, Hold]], *, lease: float) -> None:
        """Holds end with their process: only tickets have a lease."""
        await self._lanes.keep()
        self._look_around()
        tickets = [hold.ticket for _, hold in holds if hold.ticket is not None]
        if tickets:
            await self._lanes.write(lambda connection: turns.renew_tickets(connection, tickets, lease))

    async def release_hold(self, session_id: str, hold: Hold) -> None:
        del session_id  # its byte is on record for the hold
        self._lanes.holds.let_go(hold.id)
        if hold.ticket is not None:
            await self._lanes.write(lambda connection: turns.leave_queue(connection, hold))

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        holds = self._lanes.holds
        try:
            check_turn(turn)
            first_seq = await self._lanes.write(Together(turns.close_turns, turn))
        except BaseException as exc:
            self._forget_failed(exc, turn.entry.user_id, turn.entry.session_id or "")
            raise
        finally:
            if turn.hold is not None:
                holds.let_go(turn.hold.id)
        self._known.grow(turn, first_seq)
        return first_seq

    def _look_around(self) -> None:
        """All is forgotten even if nobody came: so what presence.py does not see is not missed for long."""
        if not self._lanes.is_alone:
            self._lanes.holds.presence.look()
        self._known.forget()
