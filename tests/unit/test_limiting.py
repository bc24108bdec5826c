"""Which limits hold for whom, and that what was taken is settled however a call ends and whatever becomes of Redis."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from gateway.auth.limiting.counters import Charge, Count, CountersUnavailable, Slot, Taken
from gateway.auth.limiting.grant import Grant, grant_for
from gateway.auth.limiting.limiter import Limiter
from gateway.auth.limiting.memory import InMemoryCounters
from gateway.auth.limiting.opening import configured_counters
from gateway.auth.limiting.plan import Per, limits_of, period, seconds_until
from gateway.auth.limiting.redis import RedisCounters
from gateway.auth.limiting.refusals import duration, window_headers
from gateway.domain import UNLIMITED, Caller, Limits, Scope, UsageRow
from gateway.errors import LimitsUnavailable, QuotaExceeded, RateLimited, StorageUnavailable
from gateway.settings import LimitSettings, SettingsError, parse_settings
from gateway.storage.memory import InMemoryStore
from tests.redis_server import RedisServer

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)


class Counters(InMemoryCounters):
    """May be away; remembers what it was asked to renew."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.renewed: list[Sequence[tuple[str, Sequence[Slot]]]] = []

    async def take(self, charges: Sequence[Charge], slots: Sequence[Slot] = (), holder: str = "") -> Taken:
        self._check()
        return await super().take(charges, slots, holder)

    async def settle(self, charges: Sequence[Charge], slots: Sequence[Slot] = (), holder: str = "") -> None:
        self._check()
        await super().settle(charges, slots, holder)

    async def renew(self, holders: Sequence[tuple[str, Sequence[Slot]]]) -> None:
        self._check()
        self.renewed.append(holders)

    def _check(self) -> None:
        if self.is_away:
            raise CountersUnavailable("away")


def caller(key: Limits = UNLIMITED, user: Limits = UNLIMITED) -> Caller:
    return Caller("user_1", "ada", "key_1", frozenset({Scope.USER}), limits=key, user_limits=user)


def grant(limiter: Limiter, who: Caller) -> Grant:
    made = grant_for(limiter, who)
    assert made is not None
    return made


async def look_after(limiter: Limiter, times: int = 1) -> None:
    """What its job does in so many rounds."""
    looks = iter(range(times))

    async def sleep(_: float) -> None:
        if next(looks, None) is None:
            raise asyncio.CancelledError

    limiter._sleep = sleep
    with suppress(asyncio.CancelledError):
        await limiter.run()


def test_who_has_no_limits_is_granted_everything_by_nobody() -> None:
    assert grant_for(Limiter(Counters(), InMemoryStore()), caller()) is None
    assert grant_for(Limiter(Counters(), InMemoryStore()), caller(Limits())) is None


def test_that_limits_are_split_is_said_at_the_first_call_that_has_some() -> None:
    limiter = Limiter(Counters(), InMemoryStore(), split_among=4)
    with structlog.testing.capture_logs() as said:
        for who in (caller(), caller(Limits())):
            assert grant_for(limiter, who) is None
        assert said == []
        for who in (caller(user=Limits(parallel_calls=1)), caller(Limits(parallel_calls=1))):
            grant(limiter, who)
    [line] = said
    assert "set limits.storage" in line["event"]
    told = {name: line[name] for name in ("log_level", "workers", "limit", "of", "owner")}
    assert told == {"log_level": "warning", "workers": 4, "limit": "parallel_calls", "of": "user", "owner": "user_1"}


@pytest.mark.parametrize("settings", [{}, {"split_among": 4, "user": Limits(requests_per_minute=9)}])
def test_nothing_is_said_of_limits_that_are_whole_or_were_spoken_of_at_the_start(settings: dict[str, Any]) -> None:
    limiter = Limiter(Counters(), InMemoryStore(), **settings)
    with structlog.testing.capture_logs() as said:
        grant(limiter, caller(Limits(parallel_calls=1)))
    assert said == []


def test_a_limit_of_ones_own_takes_the_place_of_the_default_and_others_stay() -> None:
    own = Limits(requests_per_minute=1, dollars_per_day=0.5)
    default = Limits(requests_per_minute=9, tokens_per_day=7, dollars_per_day=9.0)
    found = {(limit.of, limit.name): limit.most for limit in limits_of(caller(own), default, Limits(parallel_calls=3))}
    assert found == {
        ("key", "requests_per_minute"): 1,
        ("key", "tokens_per_day"): 7,
        ("key", "dollars_per_day"): 500_000,
        ("user", "parallel_calls"): 3,
    }


@pytest.mark.parametrize(
    ("at", "per", "end"),
    [
        (NOON, Per.DAY, datetime(2026, 3, 1, tzinfo=UTC)),
        (NOON, Per.MONTH, datetime(2026, 3, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), Per.DAY, datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2026, 12, 1, tzinfo=UTC), Per.MONTH, datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_periods_are_the_calendars_in_utc_and_their_numbers_grow(at: datetime, per: Per, end: datetime) -> None:
    number, beginning, found = period(at, per)
    assert found == end
    assert beginning <= at < end
    assert period(end, per)[0] == number + 1
    assert seconds_until(end, at) >= (end - at).total_seconds()


def test_durations_are_written_as_openai_does() -> None:
    assert [duration(seconds) for seconds in (1, 60, 61, 360, 7200)] == ["1s", "1m0s", "1m1s", "6m0s", "2h0m0s"]


def test_of_two_limits_that_of_which_less_remains_is_told() -> None:
    key, user = limits_of(caller(), Limits(requests_per_minute=10), Limits(requests_per_minute=50))
    told = window_headers([(key, Count(2, 0, 30), 1), (user, Count(45, 0, 50), 1)])
    assert told["x-ratelimit-limit-requests"] == "50"
    assert told["x-ratelimit-remaining-requests"] == "4"


@pytest.mark.parametrize("end", [None, ValueError(), asyncio.CancelledError()])
async def test_everything_but_the_request_is_free_again_however_a_call_ends(end: BaseException | None) -> None:
    limits = Limits(requests_per_minute=2, parallel_calls=1, tokens_per_minute=100, tokens_per_day=100)
    limiter = Limiter(Counters(), InMemoryStore(), key=limits)
    with suppress(ValueError, asyncio.CancelledError):
        async with grant(limiter, caller()) as first:
            await first.reserve(100, 0.0, NOON)
            if end is not None:
                raise end
    async with grant(limiter, caller()) as second:
        await second.reserve(100, 0.0, NOON)
        assert second.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(RateLimited):
        await grant(limiter, caller()).__aenter__()


async def test_what_was_used_counts_and_what_nobody_knows_counts_as_reserved() -> None:
    limiter = Limiter(Counters(), InMemoryStore(), user=Limits(tokens_per_day=100, dollars_per_month=1.0))
    async with grant(limiter, caller()) as known:
        await known.reserve(90, 0.5, NOON)
        known.spend(120, 0.25)  # more than was reserved
    async with grant(limiter, caller()) as other:
        with pytest.raises(QuotaExceeded, match="120 tokens") as caught:
            await other.reserve(1, 0.1, NOON)
        assert caught.value.headers["retry-after"] == str(12 * 3600)
    tomorrow = datetime(2026, 3, 1, tzinfo=UTC)
    async with grant(limiter, caller()) as unknown:
        await unknown.reserve(60, 1.0, tomorrow)
        unknown.spend_all()
    async with grant(limiter, caller()) as last:
        with pytest.raises(QuotaExceeded, match=r"\$1, and this request may need \$0.00001\."):
            await last.reserve(1, 0.00001, tomorrow)


async def test_a_call_that_ends_while_redis_is_away_is_settled_when_it_is_back() -> None:
    counters = Counters()
    limiter = Limiter(counters, InMemoryStore(), key=Limits(parallel_calls=1, tokens_per_minute=100))
    async with grant(limiter, caller()) as running:
        await running.reserve(100, 0.0, NOON)
        running.spend(30, None)
        counters.is_away = True
    with pytest.raises(LimitsUnavailable):
        await grant(limiter, caller()).__aenter__()
    await look_after(limiter)
    counters.is_away = False
    await look_after(limiter)
    async with grant(limiter, caller()) as following:
        await following.reserve(70, 0.0, NOON)


async def test_a_call_that_went_through_uncounted_is_counted_later() -> None:
    counters = Counters()
    limiter = Limiter(counters, InMemoryStore(), key=Limits(tokens_per_minute=100), on_unavailable="allow")
    counters.is_away = True
    async with grant(limiter, caller()) as uncounted:
        await uncounted.reserve(100, 0.0, NOON)
        uncounted.spend(80, None)
    counters.is_away = False
    await look_after(limiter)
    async with grant(limiter, caller()) as following:
        with pytest.raises(RateLimited, match="80 tokens"):
            await following.reserve(30, 0.0, NOON)


async def test_a_slot_is_let_go_though_redis_was_away_for_the_reservation() -> None:
    counters = Counters()
    limits = Limits(parallel_calls=1, tokens_per_minute=100)
    limiter = Limiter(counters, InMemoryStore(), key=limits, on_unavailable="allow")
    async with grant(limiter, caller()) as running:
        counters.is_away = True
        await running.reserve(100, 0.0, NOON)
        counters.is_away = False
        with pytest.raises(RateLimited, match="1 call at the same time"):
            await grant(limiter, caller()).__aenter__()
    async with grant(limiter, caller()):
        pass


async def test_slots_are_renewed_while_their_calls_run_and_no_longer() -> None:
    counters = Counters()
    limiter = Limiter(counters, InMemoryStore(), key=Limits(parallel_calls=2))
    async with grant(limiter, caller()):
        await look_after(limiter, times=2)
    await look_after(limiter)
    slot = Slot("key:key_1:parallel_calls", 2)
    assert [[slots for _, slots in holders] for holders in counters.renewed] == [[[slot]], [[slot]]]


async def test_a_slot_that_is_let_go_while_it_is_renewed_stays_free(redis_server: RedisServer) -> None:
    class Late(RedisCounters):
        """Renews when the call is over: what it asks of Redis has been overtaken."""

        async def renew(self, holders: Sequence[tuple[str, Sequence[Slot]]]) -> None:
            await running.__aexit__(None, None, None)
            await super().renew(holders)

    counters = Late(redis_server.url, timeout=5.0)
    limiter = Limiter(counters, InMemoryStore(), key=Limits(parallel_calls=1))
    running = grant(limiter, caller())
    await running.__aenter__()
    await look_after(limiter)
    async with grant(limiter, caller()):
        pass
    await limiter.aclose()


async def test_redis_is_not_said_to_be_back_before_it_has_answered() -> None:
    counters = RedisCounters("redis://127.0.0.1:1/0", timeout=1.0)
    limiter = Limiter(counters, InMemoryStore(), key=Limits(parallel_calls=1))
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(LimitsUnavailable):
            await grant(limiter, caller()).__aenter__()
        await look_after(limiter, times=3)
    assert [line["event"] for line in logs] == ["limits cannot be counted"]
    await limiter.aclose()


async def test_a_quota_that_cannot_be_read_from_the_ledger_is_not_taken_for_unused() -> None:
    class Down(InMemoryStore):
        async def usage(self, *_: Any, **__: Any) -> Sequence[UsageRow]:
            raise StorageUnavailable

    limiter = Limiter(Counters(), Down(), key=Limits(tokens_per_day=100))
    async with grant(limiter, caller()) as limited:
        with pytest.raises(StorageUnavailable):
            await limited.reserve(1, 0.0, NOON)


async def test_a_call_whose_quota_is_read_from_the_ledger_waits_for_no_report() -> None:
    class Reporting(InMemoryStore):
        async def usage(self, *asked: Any, is_urgent: bool = False, **more: Any) -> Sequence[UsageRow]:
            if not is_urgent:
                raise StorageUnavailable  # as after a long wait
            return await super().usage(*asked, is_urgent=is_urgent, **more)

    store = Reporting()
    await store.start()
    limiter = Limiter(Counters(), store, key=Limits(tokens_per_day=100))
    async with grant(limiter, caller()) as limited:
        await limited.reserve(1, 0.0, NOON)


async def test_refusals_are_told_by_the_name_of_the_limit_and_whose_it_is() -> None:
    told: list[tuple[str, str]] = []

    def note(name: str, of: str) -> None:
        told.append((name, of))

    limiter = Limiter(Counters(), InMemoryStore(), user=Limits(tokens_per_month=5), on_refusal=note)
    async with grant(limiter, caller()) as limited:
        with pytest.raises(QuotaExceeded):
            await limited.reserve(6, 0.0, NOON)
    assert told == [("tokens_per_month", "user")]


def test_redis_without_its_client_is_a_mistake_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.auth.limiting.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(SettingsError, match=r"llm-history-gateway\[redis\]"):
        configured_counters(LimitSettings(storage="redis://127.0.0.1"))


def test_a_place_to_count_that_is_not_known_is_a_mistake_that_does_not_show_it() -> None:
    with pytest.raises(SettingsError, match=r"limits\.storage: must be memory:, redis://") as caught:
        parse_settings({"limits": {"storage": "memcached://alice:secret@127.0.0.1"}})
    assert "secret" not in str(caught.value)


def test_counters_of_limits_are_told_apart() -> None:
    every = Limits(1, 1, 1, 1, 1, 1.0, 1.0)
    counters = [limit.counter for limit in limits_of(caller(), every, every)]
    assert len(set(counters)) == len(counters) == 14
