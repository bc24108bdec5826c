"""Turns of the ledger, and how they went over time. All rows are looked at."""

from datetime import UTC, datetime

from gateway.domain import LedgerEntry
from gateway.ledger import Activity, ActivityPoint, ListedTurn, Step, TurnFilter, TurnOrder
from gateway.ports import Page
from gateway.storage.activity import added_up, most_frequent, part_of
from gateway.storage.memory.tables import Tables
from gateway.storage.rules import page

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def list_turns(tables: Tables, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
    found = [entry for entry in tables.ledger.values() if _is_chosen(entry, chosen)]
    found.sort(key=_slowest_first if order is TurnOrder.SLOWEST else _newest_first, reverse=True)
    users = tables.users
    listed = [
        ListedTurn(entry, users[entry.user_id].name if entry.user_id in users else None)
        for entry in found[offset : offset + limit + 1]
    ]
    return page(listed, limit)


def activity(tables: Tables, chosen: TurnFilter, *, step: Step) -> Activity:
    turns = [entry for entry in tables.ledger.values() if _is_chosen(entry, chosen)]
    points, totals = added_up([((entry.created_at - _EPOCH) // step.length, part_of(entry)) for entry in turns])
    return Activity(
        points=[ActivityPoint(_EPOCH + number * step.length, sums) for number, sums in points],
        totals=totals,
        errors=most_frequent(turns),
    )


def _is_chosen(entry: LedgerEntry, chosen: TurnFilter) -> bool:
    return (
        chosen.since <= entry.created_at < chosen.until
        and chosen.user_id in (None, entry.user_id)
        and chosen.key_id in (None, entry.key_id)
        and chosen.session_id in (None, entry.session_id)
        and chosen.model in (None, entry.model)
        and chosen.status in (None, entry.status)
        and chosen.error in (None, *_names_of_error(entry))
    )


def _names_of_error(entry: LedgerEntry) -> tuple[str | None, ...]:
    return () if entry.error_status is None else (entry.error_code, str(entry.error_status))


def _newest_first(entry: LedgerEntry) -> tuple[datetime, str]:
    return entry.created_at, entry.turn_id


def _slowest_first(entry: LedgerEntry) -> tuple[bool, float, str]:
    return entry.latency_ms is not None, entry.latency_ms or 0, entry.turn_id
