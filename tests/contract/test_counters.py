"""What limits are counted with, in memory and in Redis alike: all or nothing, and nothing is lost or counted twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.auth.limiting.counters import Charge, Counters, CountersUnavailable, Slot
from gateway.auth.limiting.memory import InMemoryCounters
from gateway.auth.limiting.redis import RedisCounters
from gateway.ids import ulid
from tests.redis_server import RedisServer

_PATIENCE = 20.0


@pytest.fixture(params=["memory", "redis"])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    if request.param == "memory":
        yield InMemoryCounters()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    made = RedisCounters(server.url, timeout=5.0)
    yield made
    await made.aclose()


def rolling(amount: int, limit: int, seconds: int = 60, name: str = "") -> Charge:
    return Charge(name or ulid(), amount, limit, seconds=seconds)


def quota(amount: int, limit: int, period: int = 100, name: str = "") -> Charge:
    return Charge(name or ulid(), amount, limit, period=period, expires_in=60)


async def test_a_limit_is_reached_exactly(counters: Counters) -> None:
    charge = rolling(3, 7)
    first, second, third = [await counters.take([charge]) for _ in range(3)]
    assert [taken.is_granted for taken in (first, second, third)] == [True, True, False]
    assert [taken.counts[0].used for taken in (first, second, third)] == [0, 3, 6]
    assert first.counts[0].wait == second.counts[0].wait == 0
    assert 59 <= third.counts[0].wait <= 61
    assert (await counters.take([replace(charge, amount=1)])).is_granted


async def test_of_many_at_once_just_as_many_get_through_as_fit(counters: Counters) -> None:
    charge = rolling(3, 100)
    taken = await asyncio.gather(*[counters.take([charge]) for _ in range(60)])
    assert sum(one.is_granted for one in taken) == 33


async def test_a_charge_that_does_not_fit_takes_nothing_of_the_others(counters: Counters) -> None:
    wide, narrow, place = rolling(1, 5), rolling(2, 1), Slot(ulid(), 1)
    assert not (await counters.take([wide, narrow], [place], "a")).is_granted
    taken = await counters.take([wide], [place], "b")
    assert taken.is_granted
    assert (taken.counts[0].used, taken.held[0]) == (0, 0)
    assert not (await counters.take([wide], [place], "c")).is_granted
    assert (await counters.take([wide])).counts[0].used == 1


async def test_what_is_given_back_is_free_again(counters: Counters) -> None:
    charge = rolling(10, 10)
    taken = await counters.take([charge])
    await counters.settle([replace(charge, amount=-6, at=taken.at)])
    assert not (await counters.take([replace(charge, amount=7)])).is_granted
    assert (await counters.take([replace(charge, amount=6)])).is_granted


async def test_more_than_was_taken_is_counted_whatever_the_limit(counters: Counters) -> None:
    charge = rolling(10, 10)
    taken = await counters.take([charge])
    await counters.settle([replace(charge, amount=25, at=taken.at)])
    assert (await counters.take([replace(charge, amount=1)])).counts[0].used == 35


async def test_a_rolling_limit_lets_through_again_when_its_seconds_have_passed(counters: Counters) -> None:
    charge = rolling(1, 1, seconds=1)
    began = time.time()
    assert (await counters.take([charge])).is_granted
    deadline = time.monotonic() + _PATIENCE
    while not (await counters.take([charge])).is_granted:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert time.time() - began >= 1


async def test_what_has_rolled_out_of_the_window_cannot_be_given_back(counters: Counters) -> None:
    charge = rolling(5, 5, seconds=1)
    taken = await counters.take([charge])
    deadline = time.monotonic() + _PATIENCE
    while (again := await counters.take([charge])).is_granted is False:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await counters.settle([replace(charge, amount=-5, at=taken.at)])
    assert again.counts[0].used == 0
    assert (await counters.take([charge])).counts[0].used in {0, 5}  # never less than nothing


async def test_a_quota_is_asked_for_only_when_it_is_known(counters: Counters) -> None:
    charge = quota(30, 100)
    unknown = await counters.take([charge])
    assert not unknown.is_granted
    assert not unknown.counts[0].is_seeded
    await asyncio.gather(counters.seed(charge, 50), counters.seed(charge, 50))
    await counters.seed(charge, 7)  # too late: the first one counts
    taken = await counters.take([charge])
    assert taken.is_granted
    assert taken.counts[0].used == 50
    refused = await counters.take([charge])
    assert not refused.is_granted
    assert refused.counts[0].wait > 0
    await counters.settle([replace(charge, amount=-10, at=taken.at)])
    assert (await counters.take([charge])).is_granted


async def test_a_new_period_begins_with_nothing_and_the_old_one_stays_what_it_was(counters: Counters) -> None:
    old = quota(80, 100, period=100)
    await counters.seed(old, 0)
    taken = await counters.take([old])
    new = replace(old, period=101)
    assert not (await counters.take([new])).counts[0].is_seeded
    await counters.seed(new, 0)
    assert (await counters.take([new])).is_granted
    await counters.settle([replace(old, amount=-80, at=taken.at)])  # of a call that began yesterday
    assert (await counters.take([new])).counts[0].used == 80


async def test_slots_are_held_until_they_are_settled(counters: Counters) -> None:
    place = Slot(ulid(), 2)
    assert [(await counters.take([], [place], holder)).is_granted for holder in "abc"] == [True, True, False]
    await counters.settle([], [place], "a")
    assert [(await counters.take([], [place], holder)).is_granted for holder in "de"] == [True, False]


async def test_of_many_at_once_just_as_many_hold_a_slot_as_there_are(counters: Counters) -> None:
    place = Slot(ulid(), 10)
    taken = await asyncio.gather(*[counters.take([], [place], str(number)) for number in range(50)])
    assert sum(one.is_granted for one in taken) == 10


async def test_a_slot_in_redis_is_free_again_when_its_process_has_died(redis_server: RedisServer) -> None:
    dead, alive = [RedisCounters(redis_server.url, timeout=5.0, lease=1.0) for _ in range(2)]
    kept, lost = Slot(ulid(), 1), Slot(ulid(), 1)
    assert (await dead.take([], [lost], "dead")).is_granted
    assert (await alive.take([], [kept], "alive")).is_granted
    deadline = time.monotonic() + _PATIENCE
    while not (await alive.take([], [lost], "other")).is_granted:
        assert time.monotonic() < deadline
        await alive.renew([("alive", [kept])])
        await asyncio.sleep(0.02)
    assert not (await dead.take([], [kept], "third")).is_granted
    await dead.aclose()
    await alive.aclose()


async def test_what_redis_forgot_is_not_given_back_to_a_quota_seeded_since(redis_server: RedisServer) -> None:
    counters = RedisCounters(redis_server.url, timeout=5.0)
    charge = quota(80, 100)
    await counters.seed(charge, 0)
    taken = await counters.take([charge])
    redis_server.forget()
    deadline = time.monotonic() + _PATIENCE
    while (await counters.take([rolling(1, 10)])).at == taken.at:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await counters.seed(charge, 20)
    await counters.settle([replace(charge, amount=-80, at=taken.at)])
    assert (await counters.take([charge])).counts[0].used == 20
    await counters.aclose()


async def test_a_redis_that_is_not_there_is_unavailable_and_says_no_more() -> None:
    counters = RedisCounters("redis://somebody:secret@127.0.0.1:1/0", timeout=2.0)
    with pytest.raises(CountersUnavailable) as caught:
        await counters.take([rolling(1, 1)])
    assert "secret" not in str(caught.value)
    await counters.aclose()
