"""Reports from the ledger, as works that may take long."""

from collections.abc import Sequence
from datetime import datetime

from gateway.domain import GroupBy, UsageRow
from gateway.ledger import NO_ACTIVITY, Activity, ListedTurn, Step, TurnFilter, TurnOrder
from gateway.ports import Page
from gateway.storage.activity import is_possible
from gateway.storage.postgres import ledger
from gateway.storage.postgres.parts.part import NOTHING, Part
from gateway.storage.texts import is_storable


class Ledger(Part):
    """ports.ledger.Ledger."""

    async def usage(
        self,
        group_by: GroupBy,
        *,
        since: datetime,
        until: datetime,
        user_id: str | None = None,
        limit: int,
        is_urgent: bool = False,
    ) -> Sequence[UsageRow]:
        if not is_storable(user_id):
            return ()
        run = self._read_long if is_urgent else self._account
        return await run(
            lambda link: ledger.usage(link, group_by, since=since, until=until, user_id=user_id, limit=limit)
        )

    async def list_turns(self, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
        if not is_possible(chosen):
            return NOTHING
        return await self._account(
            lambda link: ledger.list_turns(link, chosen, order=order, limit=limit, offset=offset)
        )

    async def activity(self, chosen: TurnFilter, *, step: Step) -> Activity:
        if not is_possible(chosen):
            return NO_ACTIVITY
        return await self._account(lambda link: ledger.activity(link, chosen, step=step))
