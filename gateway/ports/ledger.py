"""What a store says of the turns that it has."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from gateway.domain import GroupBy, UsageRow
from gateway.ledger import Activity, ListedTurn, Step, TurnFilter, TurnOrder
from gateway.ports.page import Page


class Ledger(Protocol):
    """Reports from the ledger: part of Store."""

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
        """What the turns from `since` up to, not including, `until` came to: of one user, or of everyone.

        Days and hours are in their order, other groups by cost, then tokens, the largest first. May take long, and
        holds up no turn; reports may wait for each other, but one that `is_urgent`, because a call waits for it, waits
        for none of them. Raises errors.InvalidRequest (`too_many_rows`) if there are more than `limit`.
        """

    async def list_turns(self, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
        """Of one user, or of everyone, as `usage`. Newest first is by `created_at`, then `turn_id`."""

    async def activity(self, chosen: TurnFilter, *, step: Step) -> Activity:
        """How turns went over time: of one user, or of everyone, as `usage`."""
