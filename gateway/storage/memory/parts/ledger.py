"""Reports from the ledger, in memory."""

from collections.abc import Sequence
from datetime import datetime

from gateway.domain import GroupBy, UsageRow
from gateway.ledger import Activity, ListedTurn, Step, TurnFilter, TurnOrder
from gateway.ports import Page
from gateway.storage.memory import ledger
from gateway.storage.memory.parts.part import Part
from gateway.storage.memory.usage import usage


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
        del is_urgent  # nothing here waits
        return usage(self._opened(), group_by, since=since, until=until, user_id=user_id, limit=limit)

    async def list_turns(self, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
        return ledger.list_turns(self._opened(), chosen, order=order, limit=limit, offset=offset)

    async def activity(self, chosen: TurnFilter, *, step: Step) -> Activity:
        return ledger.activity(self._opened(), chosen, step=step)
