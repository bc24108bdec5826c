"""What every adapter decides alike about usage: how rows are ordered, and when there are too many. Pure functions."""

import math
from collections.abc import Sequence

from gateway.domain import GroupBy, UsageRow, UsageSums
from gateway.errors import InvalidRequest


def in_order(rows: Sequence[UsageRow], group_by: GroupBy, limit: int) -> Sequence[UsageRow]:
    """Days and hours as they come, other groups the dearest first, then those of the most tokens.

    Sorted here, not by the databases: each would compare texts in its own way. Raises InvalidRequest for more than
    `limit` rows, of which limit + 1 are enough to tell.
    """
    if len(rows) > limit:
        raise InvalidRequest(
            f"Usage by {group_by} has more than {limit} rows here. Narrow the range with 'from' and 'to', or group by "
            "something else.",
            code="too_many_rows",
            param="from",
        )
    if group_by in (GroupBy.DAY, GroupBy.HOUR):
        return sorted(rows, key=lambda row: row.group or "")
    return sorted(rows, key=_largest_first)


def _largest_first(row: UsageRow) -> tuple[float, int, str]:
    sums = row.sums
    return -(sums.cost or 0), -(sums.prompt_tokens + sums.completion_tokens), row.group or ""


def total(parts: Sequence[UsageSums]) -> UsageSums:
    """What all of them came to."""
    costs = [part.cost for part in parts if part.cost is not None]
    return UsageSums(
        turns=sum(part.turns for part in parts),
        failed_turns=sum(part.failed_turns for part in parts),
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
        cached_tokens=sum(part.cached_tokens for part in parts),
        reasoning_tokens=sum(part.reasoning_tokens for part in parts),
        cost=math.fsum(costs) if costs else None,
        unpriced_turns=sum(part.unpriced_turns for part in parts),
    )
