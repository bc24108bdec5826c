"""Reports from the ledger, as works for the lanes that may take long."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from gateway.domain import GroupBy, UsageRow
from gateway.ledger import Activity, ListedTurn, Step, TurnFilter, TurnOrder
from gateway.ports import Page
from gateway.storage.sqlite import ledger
from gateway.storage.sqlite.parts.part import Part


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
        run = self._lanes.search if is_urgent else self._lanes.report
        return await run(
            lambda connection: ledger.usage(
                connection, group_by, since=since, until=until, user_id=user_id, limit=limit
            )
        )

    async def list_turns(self, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
        return await self._lanes.report(
            partial(ledger.list_turns, chosen=chosen, order=order, limit=limit, offset=offset)
        )

    async def activity(self, chosen: TurnFilter, *, step: Step) -> Activity:
        return await self._lanes.report(partial(ledger.activity, chosen=chosen, step=step))
