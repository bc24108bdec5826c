"""What can be asked of the ledger beyond sums of usage: single turns, and how they went over time, as values."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.domain import LedgerEntry, Status
from gateway.values import value

MAX_POINTS = 1500
"""The most points that activity may have: a day's minutes, or four years' days."""

MAX_ERRORS = 50
"""The most kinds of error that activity tells."""


class Step(StrEnum):
    """How long each point of activity lasts. Points begin at whole steps since 1970 in UTC."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    SIX_HOURS = "6h"
    DAY = "1d"

    @property
    def length(self) -> timedelta:
        return _LENGTHS[self]


_LENGTHS = {
    Step.MINUTE: timedelta(minutes=1),
    Step.FIVE_MINUTES: timedelta(minutes=5),
    Step.QUARTER: timedelta(minutes=15),
    Step.HOUR: timedelta(hours=1),
    Step.SIX_HOURS: timedelta(hours=6),
    Step.DAY: timedelta(days=1),
}


class TurnOrder(StrEnum):
    NEWEST = "newest"
    SLOWEST = "slowest"  # by latency; turns whose latency is not known come last


@value
class TurnFilter:
    """The turns from `since` up to, not including, `until`, to which everything else that is given applies."""

    since: datetime
    until: datetime
    user_id: str | None = None
    key_id: str | None = None
    session_id: str | None = None
    model: str | None = None
    status: Status | None = None
    error: str | None = None
    """An error's code, or its HTTP status."""


@value
class ListedTurn:
    entry: LedgerEntry
    user_name: str | None
    """None if the user was erased."""


@value
class Percentiles:
    """By nearest rank: the smallest value that so many per cent do not exceed. Milliseconds; None if there are none."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@value
class ActivitySums:
    """What some turns came to. Latency and time to first token are of those that the provider answered."""

    turns: int
    failed_turns: int
    incomplete_turns: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """US dollars, of the turns whose price is known; None if there is none."""
    latency: Percentiles
    ttft: Percentiles
    overhead: Percentiles


@value
class ActivityPoint:
    start: datetime
    sums: ActivitySums


@value
class ErrorCount:
    code: str | None
    status: int
    turns: int


@value
class Activity:
    """How turns went over time."""

    points: Sequence[ActivityPoint]
    """In their order; only those in which there were turns."""
    totals: ActivitySums
    errors: Sequence[ErrorCount]
    """The most frequent first, MAX_ERRORS of them at most."""


NO_TURNS = ActivitySums(0, 0, 0, 0, 0, None, Percentiles(), Percentiles(), Percentiles())

NO_ACTIVITY = Activity(points=[], totals=NO_TURNS, errors=[])
