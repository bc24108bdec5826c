"""Counters of this process alone. They begin empty; quotas are seeded from the ledger."""

import time
from collections.abc import Callable, Sequence

from gateway.auth.limiting.counters import Charge, Count, Slot, Taken

_SWEEP = 60
"""Seconds between two looks for counters that nobody asks for any more."""


class _Row:
    __slots__ = ("buckets", "expires_at")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.expires_at = 0


class InMemoryCounters:
    """No step awaits anything, and so none is interrupted. A slot lasts as long as the process: it needs no lease."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._holders: dict[str, set[str]] = {}
        self._swept_at = 0

    async def take(self, charges: Sequence[Charge], slots: Sequence[Slot] = (), holder: str = "") -> Taken:
        now = int(self._clock())
        self._sweep(now)
        counts = [self._count(charge, now) for charge in charges]
        held = [len(self._holders.get(slot.counter, ())) for slot in slots]
        has_room = all(others < slot.limit for others, slot in zip(held, slots, strict=True))
        is_granted = has_room and all(count.is_seeded and not count.wait for count in counts)
        if is_granted:
            for charge in charges:
                self._add(charge, charge.period or now, now)
            for slot in slots:
                self._holders.setdefault(slot.counter, set()).add(holder)
        return Taken(is_granted, now, counts, held)

    async def seed(self, charge: Charge, used: int) -> None:
        row = self._rows.setdefault(charge.counter, _Row())
        row.buckets.setdefault(charge.period, used)
        row.expires_at = max(row.expires_at, int(self._clock()) + charge.expires_in)

    async def settle(self, charges: Sequence[Charge], slots: Sequence[Slot] = (), holder: str = "") -> None:
        now = int(self._clock())
        for charge in charges:
            row = self._rows.get(charge.counter)
            bucket = charge.period or (charge.at if charge.amount < 0 else now)
            # What is gone is not counted any more, and must not come back as less than nothing.
            if (row is not None and bucket in row.buckets) or (charge.amount > 0 and not charge.period):
                self._add(charge, bucket, now)
        for slot in slots:
            holders = self._holders.get(slot.counter, set())
            holders.discard(holder)
            if not holders:
                self._holders.pop(slot.counter, None)

    async def renew(self, holders: Sequence[tuple[str, Sequence[Slot]]]) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Nothing to do."""

    def _count(self, charge: Charge, now: int) -> Count:
        since = charge.period or now - charge.seconds
        row = self._rows.get(charge.counter)
        buckets = {} if row is None else row.buckets
        for number in [number for number in buckets if number < since]:
            del buckets[number]
        used = sum(buckets.values())
        excess = used + charge.amount - charge.limit
        if charge.period:
            return Count(used, int(excess > 0), 0, charge.period in buckets)
        ends = {number: number + charge.seconds + 1 - now for number in sorted(buckets)}
        wait = 0
        for number, end in ends.items():
            if excess <= 0:
                break
            excess -= buckets[number]
            wait = end
        return Count(used, wait if excess <= 0 else charge.seconds + 1, max(ends.values(), default=0))

    def _add(self, charge: Charge, bucket: int, now: int) -> None:
        row = self._rows.setdefault(charge.counter, _Row())
        row.buckets[bucket] = row.buckets.get(bucket, 0) + charge.amount
        row.expires_at = max(row.expires_at, now + (charge.expires_in or charge.seconds + 2))

    def _sweep(self, now: int) -> None:
        if now - self._swept_at >= _SWEEP:
            self._swept_at = now
            self._rows = {counter: row for counter, row in self._rows.items() if row.expires_at > now}
