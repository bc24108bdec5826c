"""Works that read the ledger: sums of usage, its rows, and how turns went over time. They may take long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.domain import GroupBy, UsageRow
from gateway.ledger import (
    MAX_ERRORS,
    Activity,
    ActivityPoint,
    ActivitySums,
    ErrorCount,
    ListedTurn,
    Percentiles,
    Step,
    TurnFilter,
    TurnOrder,
)
from gateway.ports import Page
from gateway.storage.accounting import in_order
from gateway.storage.postgres.pool import Link
from gateway.storage.postgres.rows import Row, to_ledger_entry, to_usage_row
from gateway.storage.rules import page


async def usage(
    link: Link, group_by: GroupBy, *, since: datetime, until: datetime, user_id: str | None, limit: int
) -> Sequence[UsageRow]:
    rows = await link.rows("usage", group_by, since, until, user_id, limit + 1)
    return in_order([to_usage_row(row) for row in rows], group_by, limit)


async def list_turns(link: Link, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
    rows = await link.rows(f"{order}_turns", *_asked(chosen), limit + 1, offset)
    return page([ListedTurn(to_ledger_entry(row[1:]), user_name=row[0]) for row in rows], limit)


async def activity(link: Link, chosen: TurnFilter, *, step: Step) -> Activity:
    *points, totals = await link.rows("activity", *_asked(chosen), step.length)
    errors = await link.rows("count_errors", *_asked(chosen), MAX_ERRORS)
    return Activity(
        points=[ActivityPoint(row[0], _to_sums(row)) for row in points],
        totals=_to_sums(totals),
        errors=[ErrorCount(*row) for row in errors],
    )


def _asked(chosen: TurnFilter) -> tuple[Any, ...]:
    return (
        chosen.since,
        chosen.until,
        chosen.user_id,
        chosen.key_id,
        chosen.session_id,
        chosen.model,
        chosen.status,
        chosen.error,
    )


def _to_sums(row: Row) -> ActivitySums:
    return ActivitySums(*row[1:7], *map(_to_percentiles, row[7:]))


def _to_percentiles(values: Sequence[float] | None) -> Percentiles:
    return Percentiles(*values or ())
