"""One at a time, in the order of arrival, whoever gives up in between; and nothing is left behind."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Conflict
from gateway.turns.locks import SessionLocks

NEVER = 3600.0
KEY = ("user_1", "sess_1")


@dataclass
class Visitor:
    """Somebody who takes the lock, and keeps it until told to go."""

    name: str
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] = field(init=False)


class Room:
    """A lock, its visitors, and what they saw."""

    def __init__(self, timeout: float = NEVER) -> None:
        self.locks = SessionLocks(timeout)
        self.inside: list[str] = []
        self.history: list[str] = []

    async def arrive(self, name: str, key: object = KEY) -> Visitor:
        """A visitor who has come as far as possible without anybody else's help."""
        visitor = Visitor(name)
        visitor.task = asyncio.create_task(self._visit(visitor, key))
        await settle()
        return visitor

    async def _visit(self, visitor: Visitor, key: object) -> None:
        async with self.locks.hold(key):
            self.inside.append(visitor.name)
            self.history.append(visitor.name)
            assert key is not KEY or self.inside == [visitor.name]
            visitor.entered.set()
            try:
                await visitor.may_go.wait()
            finally:
                self.inside.remove(visitor.name)

    @property
    def is_forgotten(self) -> bool:
        return not self.locks._waiting


async def settle() -> None:
    """Let every task run until it waits for something that is not there yet."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_free_lock_is_taken_at_once_and_forgotten_afterwards() -> None:
    locks = SessionLocks(NEVER)
    async with locks.hold(KEY):
        assert len(locks._waiting) == 1
    assert not locks._waiting


async def test_the_lock_is_let_go_when_its_holder_fails() -> None:
    locks = SessionLocks(NEVER)
    with pytest.raises(ValueError, match="inside"):
        async with locks.hold(KEY):
            raise ValueError("inside")
    assert not locks._waiting


async def test_visitors_enter_in_the_order_they_arrived() -> None:
    room = Room()
    visitors = [await room.arrive(name) for name in "abcde"]
    for visitor in visitors:
        assert visitor.entered.is_set()
        assert room.inside == [visitor.name]
        visitor.may_go.set()
        await settle()
    assert room.history == list("abcde")
    assert room.is_forgotten


async def test_a_newcomer_does_not_overtake_one_who_is_about_to_enter() -> None:
    room = Room()
    async with room.locks.hold(KEY):
        waiting = await room.arrive("b")
        waiting.may_go.set()
    async with room.locks.hold(KEY):  # b has been given the lock by now, and has not run since
        assert room.history == ["b"]
    assert room.is_forgotten


async def test_locks_of_different_keys_do_not_wait_for_each_other() -> None:
    room = Room()
    visitors = [await room.arrive(user, (user, "sess_1")) for user in ("user_1", "user_2")]
    assert room.inside == ["user_1", "user_2"]
    for visitor in visitors:
        visitor.may_go.set()
        await visitor.task
    assert room.is_forgotten


async def test_who_waits_too_long_gets_a_conflict() -> None:
    room = Room(timeout=0.001)
    holder = await room.arrive("a")
    with pytest.raises(Conflict) as caught:
        async with room.locks.hold(KEY):
            pytest.fail("the lock was held by somebody else")
    error = caught.value
    assert (error.status, error.code, error.param) == (409, "session_locked", "session_id")
    assert error.headers == {"retry-after": "1"}
    assert "0.001 s" in error.message
    holder.may_go.set()
    await holder.task
    assert room.is_forgotten
    async with room.locks.hold(KEY):
        pass


async def test_who_enters_in_time_may_stay_longer_than_the_timeout() -> None:
    room = Room(timeout=0.001)
    holder = await room.arrive("a")
    with pytest.raises(Conflict):
        await room.locks.hold(KEY).__aenter__()
    assert room.inside == ["a"]
    holder.may_go.set()
    await holder.task


async def test_a_conflict_is_no_cancellation() -> None:
    room = Room(timeout=0.001)
    holder = await room.arrive("a")
    with pytest.raises(Conflict):
        await room.locks.hold(KEY).__aenter__()
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    holder.may_go.set()
    await holder.task


async def test_a_waiter_who_leaves_is_passed_over() -> None:
    room = Room()
    first, second, third = [await room.arrive(name) for name in "abc"]
    second.task.cancel()
    await asyncio.wait([second.task])
    assert second.task.cancelled()
    first.may_go.set()
    await settle()
    assert room.inside == ["c"]
    third.may_go.set()
    await third.task
    assert room.is_forgotten


async def test_a_waiter_who_leaves_as_the_lock_is_handed_over_passes_it_on() -> None:
    room = Room()
    async with room.locks.hold(KEY):
        leaving, staying = await room.arrive("leaving"), await room.arrive("staying")
    leaving.task.cancel()  # it has been given the lock, and has not run since
    await settle()
    assert leaving.task.cancelled()
    assert room.inside == ["staying"]
    staying.may_go.set()
    await staying.task
    assert room.is_forgotten


@pytest.mark.parametrize("others", [0, 1])
async def test_a_waiter_who_leaves_just_before_the_lock_is_let_go_ends_as_cancelled(others: int) -> None:
    room = Room()
    async with room.locks.hold(KEY):
        leaving = (await room.arrive("leaving")).task
        staying = [await room.arrive("staying") for _ in range(others)]
        leaving.cancel()  # and the lock is let go before it has noticed
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    await settle()
    assert len(room.inside) == others
    for visitor in staying:
        visitor.may_go.set()
        await visitor.task
    assert room.is_forgotten


async def test_a_holder_who_is_cancelled_lets_the_next_one_in() -> None:
    room = Room()
    first, second = await room.arrive("a"), await room.arrive("b")
    first.task.cancel()
    await settle()
    assert room.inside == ["b"]
    second.may_go.set()
    await second.task
    assert room.is_forgotten


STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "cancel", "go", "settle"]), st.integers(min_value=0, max_value=3)), max_size=20
)


@given(STEPS)
def test_however_visitors_come_and_leave_nobody_is_lost(steps: list[tuple[str, int]]) -> None:
    asyncio.run(play(steps))


async def play(steps: Sequence[tuple[str, int]]) -> None:
    """Visitors arrive, are cancelled and go, with and without a chance for the others to notice in between."""
    room = Room()
    visitors: list[Visitor] = []
    for step, number in steps:
        if step == "arrive":
            visitors.append(await room.arrive(str(len(visitors))))
        elif step == "settle":
            await settle()
        elif visitors and step == "cancel":
            visitors[number % len(visitors)].task.cancel()
        elif visitors:
            visitors[number % len(visitors)].may_go.set()
    for visitor in visitors:
        visitor.may_go.set()
    results = await asyncio.gather(*(visitor.task for visitor in visitors), return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
    assert all(visitor.entered.is_set() for visitor, result in zip(visitors, results, strict=True) if result is None)
    assert room.history == sorted(room.history, key=int)
    assert room.is_forgotten


async def test_a_thousand_visitors_of_ten_rooms_all_get_in_once() -> None:
    locks = SessionLocks(NEVER)
    inside = dict.fromkeys(range(10), 0)
    entered: list[int] = []

    async def visit(number: int) -> None:
        key = number % 10
        async with locks.hold(key):
            inside[key] += 1
            assert inside[key] == 1
            await asyncio.sleep(0)
            inside[key] -= 1
            entered.append(number)

    await asyncio.gather(*(visit(number) for number in range(1000)))
    for key in inside:
        assert [number for number in entered if number % 10 == key] == list(range(key, 1000, 10))
    assert not locks._waiting
