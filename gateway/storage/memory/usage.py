"""What the ledger's rows come to. All of them are looked at."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from gateway.domain import GroupBy, LedgerEntry, Status, UsageRow, UsageSums
from gateway.storage.accounting import in_order, total
from gateway.storage.memory.tables import Tables


def usage(
    tables: Tables, group_by: GroupBy, *, since: datetime, until: datetime, user_id: str | None, limit: int
) -> Sequence[UsageRow]:
    groups: defaultdict[str | None, list[UsageSums]] = defaultdict(list)
    for entry in tables.ledger.values():
        if user_id in (None, entry.user_id) and since <= entry.created_at < until:
            groups[_group(entry, group_by)].append(_sums(entry))
    rows = [UsageRow(group, _name(tables, group, group_by), total(parts)) for group, parts in groups.items()]
    return in_order(rows, group_by, limit)


def _group(entry: LedgerEntry, group_by: GroupBy) -> str | None:
    match group_by:
        case GroupBy.USER:
            return entry.user_id
        case GroupBy.KEY:
            return entry.key_id
        case GroupBy.MODEL:
            return entry.model
        case GroupBy.SESSION:
            return entry.session_id
        case GroupBy.DAY:
            return entry.created_at.strftime("%Y-%m-%d")
        case GroupBy.HOUR:
            return entry.created_at.strftime("%Y-%m-%dT%H:00:00Z")


def _name(tables: Tables, group: str | None, group_by: GroupBy) -> str | None:
    if group_by is GroupBy.USER and group in tables.users:
        return tables.users[group].name
    if group_by is GroupBy.KEY and group in tables.keys:
        return tables.keys[group].name
    return None


def _sums(entry: LedgerEntry) -> UsageSums:
    return UsageSums(
        turns=1,
        failed_turns=int(entry.status is Status.FAILED),
        prompt_tokens=entry.usage.prompt_tokens,
        completion_tokens=entry.usage.completion_tokens,
        cached_tokens=entry.usage.cached_tokens,
        reasoning_tokens=entry.usage.reasoning_tokens,
        cost=entry.cost,
        unpriced_turns=int(entry.cost is None),
    )
