"""Works that read the ledger: sums of usage, its rows, and how turns went over time.

They may take long: they are for the reporter, or for the searcher if a call waits for them.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

import orjson

from gateway.domain import GroupBy, UsageRow
from gateway.ledger import (
    MAX_ERRORS,
    NO_ACTIVITY,
    Activity,
    ActivityPoint,
    ErrorCount,
    ListedTurn,
    Step,
    TurnFilter,
    TurnOrder,
)
from gateway.ports import Page
from gateway.storage.accounting import in_order
from gateway.storage.activity import Part, added_up, is_possible
from gateway.storage.rules import page
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import Parameters, Row, from_time, to_ledger_entry, to_time, to_usage_row
from gateway.storage.texts import is_storable

_MICROSECOND = timedelta(microseconds=1)


def usage(
    connection: sqlite3.Connection,
    group_by: GroupBy,
    *,
    since: datetime,
    until: datetime,
    user_id: str | None,
    limit: int,
) -> Sequence[UsageRow]:
    if not is_storable(user_id):
        return ()
    asked = {"since": from_time(since), "until": from_time(until), "user_id": user_id, "limit": limit + 1}
    rows = connection.execute(QUERIES["usage"], {"group_by": group_by.value, **asked})
    return in_order([to_usage_row(row) for row in rows], group_by, limit)


def list_turns(
    connection: sqlite3.Connection, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int
) -> Page[ListedTurn]:
    if not is_possible(chosen):
        return Page((), has_more=False)
    rows = connection.execute(QUERIES[_list(chosen, order)], {**_asked(chosen), "limit": limit + 1, "offset": offset})
    return page([ListedTurn(to_ledger_entry(row[1:]), user_name=row[0]) for row in rows], limit)


def _list(chosen: TurnFilter, order: TurnOrder) -> str:
    """The newest are read in an index's order, which no statement that serves two indexes could be."""
    if order is TurnOrder.SLOWEST:
        return "slowest_turns"
    return "newest_turns" if chosen.user_id is None else "newest_turns_of_user"


def activity(connection: sqlite3.Connection, chosen: TurnFilter, *, step: Step) -> Activity:
    if not is_possible(chosen):
        return NO_ACTIVITY
    asked, length = _asked(chosen), step.length // _MICROSECOND
    rows = connection.execute(QUERIES["activity"], {**asked, "step": length})
    points, totals = added_up((row[0], _to_part(row)) for row in rows)
    errors = connection.execute(QUERIES["count_errors"], {**asked, "limit": MAX_ERRORS})
    return Activity(
        points=[ActivityPoint(to_time(number * length), sums) for number, sums in points],
        totals=totals,
        errors=[ErrorCount(*row) for row in errors],
    )


def _asked(chosen: TurnFilter) -> Parameters:
    return {
        "since": from_time(chosen.since),
        "until": from_time(chosen.until),
        "user_id": chosen.user_id,
        "key_id": chosen.key_id,
        "session_id": chosen.session_id,
        "model": chosen.model,
        "status": chosen.status,
        "error": chosen.error,
    }


def _to_part(row: Row) -> Part:
    return Part(*row[1:7], *map(orjson.loads, row[7:]))
