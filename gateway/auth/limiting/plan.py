"""Which limits hold for a caller, and what a call is to charge them with: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from gateway.auth.limiting.counters import Charge, Slot
from gateway.domain import Caller, Limits
from gateway.values import value

MINUTE = 60
MICRODOLLARS = 1_000_000
"""In a dollar: money is counted in whole ones, so that no sum depends on its order."""

_MOST = 2**53
"""Tokens or micro-dollars, nine thousand million dollars: beyond it Redis' scripts do not tell whole numbers apart."""

_LATE = 3600
"""Seconds after its end for which a quota's period is kept: replicas whose clocks differ may still ask for it."""


class Unit(StrEnum):
    REQUESTS = "requests"
    CALLS = "calls"
    TOKENS = "tokens"
    DOLLARS = "dollars"


class Per(StrEnum):
    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"


@value
class Limit:
    """One limit of a caller's."""

    name: str
    """As in the settings: `tokens_per_day`."""
    of: str
    """`key` or `user`."""
    owner: str
    """Its id."""
    unit: Unit
    per: Per | None
    """None for calls at the same time."""
    most: int
    """Micro-dollars, where it is money."""

    @property
    def counter(self) -> str:
        return f"{self.of}:{self.owner}:{self.name}"

    def charge(self, amount: int, at: datetime) -> Charge:
        if self.per is Per.MINUTE:
            return Charge(self.counter, amount, self.most, seconds=MINUTE)
        number, _, end = period(at, self.per)
        return Charge(self.counter, amount, self.most, period=number, expires_in=seconds_until(end, at) + _LATE)

    def slot(self) -> Slot:
        return Slot(self.counter, self.most)


_KINDS: Mapping[str, tuple[Unit, Per | None]] = {
    "requests_per_minute": (Unit.REQUESTS, Per.MINUTE),
    "tokens_per_minute": (Unit.TOKENS, Per.MINUTE),
    "parallel_calls": (Unit.CALLS, None),
    "tokens_per_day": (Unit.TOKENS, Per.DAY),
    "tokens_per_month": (Unit.TOKENS, Per.MONTH),
    "dollars_per_day": (Unit.DOLLARS, Per.DAY),
    "dollars_per_month": (Unit.DOLLARS, Per.MONTH),
}
_NAMES = [field.name for field in fields(Limits)]


def limits_of(caller: Caller, key: Limits, user: Limits) -> Sequence[Limit]:
    """The caller's limits. `key` and `user` stand in for what the caller's own leave open."""
    held = [*_limits("key", caller.key_id, caller.limits, key)]
    return held + _limits("user", caller.user_id, caller.user_limits, user)


def _limits(of: str, owner: str, own: Limits, defaults: Limits) -> list[Limit]:
    found = []
    for name in _NAMES:
        most = getattr(own, name)
        if most is None:
            most = getattr(defaults, name)
        if most is not None:
            unit, per = _KINDS[name]
            most = microdollars(most) if unit is Unit.DOLLARS else min(most, _MOST)
            found.append(Limit(name, of, owner, unit, per, most))
    return found


def microdollars(dollars: float) -> int:
    return round(min(dollars * MICRODOLLARS, _MOST))


def period(at: datetime, per: Per | None) -> tuple[int, datetime, datetime]:
    """The calendar's day or month around a time in UTC: its number, its beginning and its end."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if per is Per.DAY:
        return day.toordinal(), day, day + timedelta(days=1)
    first = day.replace(day=1)
    return first.year * 12 + first.month, first, (first + timedelta(days=31)).replace(day=1)


def seconds_until(end: datetime, at: datetime) -> int:
    """Whole seconds, rounded up, at least 1."""
    return max(1, -int((at - end).total_seconds() // 1))
