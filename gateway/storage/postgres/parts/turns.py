"""Turns and their holds, as works on a connection."""

from collections.abc import Sequence

from gateway.ports import ClosedTurn, Hold, Locked, OpenedTurn, TurnOpening
from gateway.storage import rules
from gateway.storage.postgres import turns
from gateway.storage.postgres.parts.part import Part
from gateway.storage.texts import is_storable


class Turns(Part):
    """ports.turns.Turns."""

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        if opening.create is not None:
            rules.check_session(opening.create)
        if not is_storable(opening.user_id, opening.session_id):
            return None
        return await self._read(lambda link: turns.open_turn(link, opening))

    async def queue_turn(self, user_id: str, session_id: str, *, lease: float) -> int | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(lambda link: turns.queue_turn(link, user_id, session_id, lease))

    async def renew_holds(self, holds: Sequence[tuple[str, Hold]], *, lease: float) -> None:
        held = [(session_id, hold) for session_id, hold in holds if is_storable(session_id, hold.id)]
        await self._write(lambda link: turns.renew_holds(link, held, lease))

    async def release_hold(self, session_id: str, hold: Hold) -> None:
        if is_storable(session_id, hold.id):
            await self._write(lambda link: turns.release_hold(link, session_id, hold))

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        rules.check_turn(turn)
        return await self._write(lambda link: turns.close_turn(link, turn))
