"""Limits of keys and users: what a call may use is taken before it is made, and settled when it is over.

Invariant: what a grant has taken is settled when it ends, however it ends; should the counters be away just then, it is
settled as soon as they answer again. Meanwhile it counts as reserved: too much rather than too little.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal, NamedTuple

import structlog

from gateway.auth.limiting.counters import LEASE, Charge, Counters, CountersUnavailable, Slot, Taken
from gateway.auth.limiting.plan import Limit, Unit, limits_of, microdollars, period
from gateway.auth.limiting.refusals import longest, too_large, too_many_calls, used_up, window_headers
from gateway.domain import MAX_USAGE_ROWS, UNLIMITED, Caller, GroupBy, Limits, UsageRow
from gateway.errors import LimitsUnavailable, RateLimited
from gateway.ports import Store

log = structlog.stdlib.get_logger("gateway")

_MOST_UNSETTLED = 10_000
"""What is kept of calls that ended while the counters were away; the oldest go first."""

Amounts = Sequence[tuple[Limit, int]]
"""What is asked of each limit."""


class Receipt(NamedTuple):
    """What was taken."""

    charges: Sequence[Charge]
    """Of the amounts, in their order; of 0 where the counters were away and calls go through all the same."""
    headers: Mapping[str, str]


NOTHING = Receipt((), {})


class Settlement(NamedTuple):
    charges: Sequence[Charge]
    slots: Sequence[Slot]
    holder: str


class Limiter:
    """All limits of this process. As a job it renews what running calls hold, and settles what could not be."""

    name = "limits"

    def __init__(
        self,
        counters: Counters,
        store: Store,
        *,
        key: Limits = UNLIMITED,
        user: Limits = UNLIMITED,
        on_unavailable: Literal["deny", "allow"] = "deny",
        on_refusal: Callable[[str, str], None] = lambda _name, _of: None,
        split_among: int = 1,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`key`, `user`: what holds where a caller's own limits are open. `on_refusal` is told a limit, and whose.

        `split_among`: processes that each have counters of their own for the same callers, this one among them.
        """
        self._counters = counters
        self._store = store
        self._key, self._user = key, user
        self._has_defaults = not key == user == UNLIMITED
        self._split_among = split_among
        self._is_split_unsaid = split_among > 1 and not self._has_defaults  # of defaults, the start has said so
        self._denies = on_unavailable == "deny"
        self._on_refusal = on_refusal
        self._sleep = sleep
        self._is_away = False
        self._held: dict[str, Sequence[Slot]] = {}
        self._unsettled: deque[Settlement] = deque(maxlen=_MOST_UNSETTLED)

    def limits_of(self, caller: Caller) -> Sequence[Limit]:
        """All that hold for the caller. Costs those who have none two comparisons."""
        if caller.limits is UNLIMITED and caller.user_limits is UNLIMITED and not self._has_defaults:
            return ()
        limits = limits_of(caller, self._key, self._user)
        if self._is_split_unsaid and limits:
            self._say_split(limits[0])
        return limits

    def _say_split(self, limit: Limit) -> None:
        """Once in each process: limits of a single key or user are in the database, where no start looks for them."""
        self._is_split_unsaid = False
        log.warning(
            "each worker counts limits for itself, so that callers get up to as many times as much: set limits.storage "
            "to a redis:// URL",
            workers=self._split_among,
            limit=limit.name,
            of=limit.of,
            owner=limit.owner,
        )

    async def take(
        self, caller: Caller, amounts: Amounts, slots: Sequence[Limit], holder: str, at: datetime
    ) -> Receipt:
        """Take these amounts and slots, all or nothing. The slots are `holder`'s until it settles.

        Raises RateLimited, LimitsUnavailable; StorageUnavailable where a quota has to be read from the ledger.
        """
        for limit, amount in amounts:
            if amount > limit.most:
                raise self._refused(limit, too_large(limit, amount))
        charges = [limit.charge(amount, at) for limit, amount in amounts]
        places = [limit.slot() for limit in slots]
        try:
            taken = await self._take(caller, amounts, charges, places, holder, at)
        except CountersUnavailable as exc:
            self._note_away(exc)
            if self._denies:
                if places:  # Redis may have heard what we had no answer to
                    self._unsettled.append(Settlement((), places, holder))
                raise LimitsUnavailable from exc
            if places:
                self._held[holder] = places
            return Receipt([replace(charge, amount=0) for charge in charges], {})
        self._note_back()
        if not taken.is_granted:
            raise self._refusal(amounts, slots, taken, at)
        if places:
            self._held[holder] = places
        told = [(limit, known, amount) for (limit, amount), known in zip(amounts, taken.counts, strict=True)]
        return Receipt([replace(charge, at=taken.at) for charge in charges], window_headers(told))

    async def settle(self, charges: Sequence[Charge], holder: str) -> None:
        """Add these amounts, and let the holder's slots go. Never raises: what cannot be settled now is later."""
        slots = self._held.pop(holder, ())
        charges = [charge for charge in charges if charge.amount]
        if not charges and not slots:
            return
        await self._settle(Settlement(charges, slots, holder))

    async def run(self) -> None:
        while True:
            await self._sleep(LEASE / 3)
            await self._renew()
            for _ in range(len(self._unsettled)):
                if not await self._settle(self._unsettled.popleft()):
                    break

    async def aclose(self) -> None:
        await self._counters.aclose()

    async def _take(
        self,
        caller: Caller,
        amounts: Amounts,
        charges: Sequence[Charge],
        places: Sequence[Slot],
        holder: str,
        at: datetime,
    ) -> Taken:
        while True:
            taken = await self._counters.take(charges, places, holder)
            for (limit, _), charge, known in zip(amounts, charges, taken.counts, strict=True):
                if not known.is_seeded:
                    await self._counters.seed(charge, await self._used(caller, limit, at))
            if all(known.is_seeded for known in taken.counts):
                return taken

    async def _used(self, caller: Caller, limit: Limit, at: datetime) -> int:
        """What the ledger says of a quota: nothing else outlives this process, and Redis need not either."""
        _, since, until = period(at, limit.per)
        rows: Sequence[UsageRow] = await self._store.usage(
            GroupBy.KEY, since=since, until=until, user_id=caller.user_id, limit=MAX_USAGE_ROWS, is_urgent=True
        )
        sums = [row.sums for row in rows if limit.of == "user" or row.group == limit.owner]
        if limit.unit is Unit.DOLLARS:
            return microdollars(sum([part.cost or 0.0 for part in sums]))
        return sum([part.prompt_tokens + part.completion_tokens for part in sums])

    async def _renew(self) -> None:
        held = list(self._held.items())
        if not held:
            return
        try:
            await self._counters.renew(held)
        except CountersUnavailable as exc:
            self._note_away(exc)
        else:
            self._note_back()
        # A call that ended meanwhile may have let its slots go just before they were renewed.
        self._unsettled.extend(Settlement((), slots, holder) for holder, slots in held if holder not in self._held)

    async def _settle(self, settlement: Settlement) -> bool:
        """Whether that could be done; else it is kept for later."""
        try:
            await self._counters.settle(*settlement)
        except CountersUnavailable as exc:
            self._note_away(exc)
            self._unsettled.append(settlement)
            return False
        self._note_back()
        return True

    def _refusal(self, amounts: Amounts, slots: Sequence[Limit], taken: Taken, at: datetime) -> RateLimited:
        counted = [(limit, known, amount) for (limit, amount), known in zip(amounts, taken.counts, strict=True)]
        refusing = [(limit, known, amount) for limit, known, amount in counted if known.wait]
        if refusing:
            limit, known, amount = longest(refusing, at)
            error = used_up(limit, known, amount, at)
        else:
            limit = next(limit for limit, held in zip(slots, taken.held, strict=True) if held >= limit.most)
            error = too_many_calls(limit)
        error.headers = {**window_headers([(limit, known, 0) for limit, known, _ in counted]), **error.headers}
        return self._refused(limit, error)

    def _refused(self, limit: Limit, error: RateLimited) -> RateLimited:
        self._on_refusal(limit.name, limit.of)
        return error

    def _note_away(self, exc: CountersUnavailable) -> None:
        """Once, and not for every call that finds it so."""
        if not self._is_away:
            log.error("limits cannot be counted", error=str(exc), calls="refused" if self._denies else "let through")
        self._is_away = True

    def _note_back(self) -> None:
        if self._is_away:
            log.info("limits are counted again")
        self._is_away = False
