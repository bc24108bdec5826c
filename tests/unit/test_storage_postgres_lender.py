"""Who gets which connection, and when: the lender over a pool that counts what is asked of it."""

import asyncio
from collections.abc import Awaitable
from typing import cast

import asyncpg
import pytest
from asyncpg.pool import PoolConnectionProxy

from gateway.storage.postgres.lender import Lender

_SECONDS = 5
"""After which a connection that should have come will not come."""


class FakeConnection:
    """`is_taken_back`: as of one that ended while it was lent, which the driver's pool then knows."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ended = False
        self.is_taken_back = False

    def is_closed(self) -> bool:
        if self.is_taken_back:
            raise asyncpg.InterfaceError("released back to the pool")
        return self.ended

    def terminate(self) -> None:
        self.ended = True


class FakePool:
    """`refusals`: how many connections will not be made."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.made: list[FakeConnection] = []
        self.released: list[object] = []
        self.refusals = refusals

    async def acquire(self) -> FakeConnection:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError
        self.made.append(FakeConnection(len(self.made)))
        return self.made[-1]

    async def release(self, connection: object, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the driver's
        self.released.append(connection)
        if timeout is not None:
            raise TimeoutError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_lender(pool: FakePool, size: int = 1, clock: Clock | None = None) -> Lender:
    return Lender(cast("asyncpg.Pool", pool), size, clock=clock or Clock())


async def waiting(lender: Lender) -> asyncio.Task[PoolConnectionProxy]:
    task = asyncio.create_task(lender.take())
    await asyncio.sleep(0)
    return task


async def taken(lender: Lender) -> PoolConnectionProxy:
    return await asyncio.wait_for(lender.take(), _SECONDS)


async def number(getting: Awaitable[object]) -> int:
    connection = await asyncio.wait_for(getting, _SECONDS)
    assert isinstance(connection, FakeConnection)
    return connection.number


async def test_a_connection_that_was_kept_is_lent_again() -> None:
    pool = FakePool()
    lender = make_lender(pool, 2)
    for _ in range(3):
        lender.keep(await taken(lender))
    assert len(pool.made) == 1


async def test_there_are_no_more_than_its_size_and_those_who_wait_are_served_in_order() -> None:
    pool = FakePool()
    lender = make_lender(pool, 2)
    first, second = await taken(lender), await taken(lender)
    third, fourth = await waiting(lender), await waiting(lender)
    assert not third.done()
    lender.keep(second)
    late = await waiting(lender)
    lender.keep(first)
    assert [await number(third), await number(fourth)] == [1, 0]
    assert (len(pool.made), late.done()) == (2, False)
    lender.keep(await third)
    assert await number(late) == 1


async def test_who_stops_waiting_costs_nobody_a_connection() -> None:
    lender = make_lender(FakePool())
    connection = await taken(lender)
    gone, served, last = await waiting(lender), await waiting(lender), await waiting(lender)
    gone.cancel()
    lender.keep(connection)
    served.cancel()  # after it was given the connection, and before it could take it
    with pytest.raises(asyncio.CancelledError):
        await served
    assert await asyncio.wait_for(last, _SECONDS) is connection


@pytest.mark.parametrize("state", ["ended", "is_taken_back"])
async def test_a_connection_that_has_ended_is_replaced(state: str) -> None:
    pool = FakePool()
    lender = make_lender(pool)
    lender.keep(await taken(lender))
    setattr(pool.made[0], state, True)
    assert await number(lender.take()) == 1


async def test_a_connection_that_was_idle_for_long_is_ended_and_replaced() -> None:
    pool, clock = FakePool(), Clock()
    lender = make_lender(pool, clock=clock)
    lender.keep(await taken(lender))
    clock.now = 299.0
    lender.keep(await taken(lender))
    clock.now += 299.0
    lender.keep(await taken(lender))
    assert len(pool.made) == 1
    clock.now += 300.0
    assert await number(lender.take()) == 1
    assert pool.made[0].ended


async def test_a_server_that_refuses_once_is_asked_again() -> None:
    lender = make_lender(FakePool(refusals=1))
    with pytest.raises(ConnectionRefusedError):
        await taken(lender)
    assert await number(lender.take()) == 0


async def test_a_connection_that_cannot_be_mended_is_replaced_for_the_next_who_waits() -> None:
    pool = FakePool()
    lender = make_lender(pool)
    broken = await taken(lender)
    next_one = await waiting(lender)
    with pytest.raises(TimeoutError):
        await lender.give_back(broken)
    assert await number(next_one) == 1
    assert pool.released == [broken]


async def test_what_is_kept_is_given_back_in_the_end() -> None:
    pool = FakePool()
    lender = make_lender(pool, 3)
    first, second = await taken(lender), await taken(lender)
    lender.keep(first)
    lender.keep(second)
    await lender.aclose()
    assert pool.released == [first, second]


async def test_it_tells_how_many_are_free_and_how_many_wait() -> None:
    lender = make_lender(FakePool(), 2)
    first = await taken(lender)
    assert (lender.free, lender.waiting) == (1, 0)
    await taken(lender)
    waiters = [await waiting(lender) for _ in range(3)]
    waiters[0].cancel()
    await asyncio.wait([waiters[0]])
    assert (lender.free, lender.waiting) == (0, 2)
    lender.keep(first)
    assert await number(waiters[1]) == 0
    assert (lender.free, lender.waiting) == (0, 1)
