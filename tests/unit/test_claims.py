"""One at a time, in the order of arrival, in one process or several, whoever gives up in between; nothing is left."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain import Session, User
from gateway.errors import Conflict, GatewayError, ShuttingDown, StorageUnavailable
from gateway.ports import Hold, Locked, OpenedTurn, TurnOpening
from gateway.storage.memory import InMemoryStore
from gateway.turns.claims import Claims
from gateway.turns.flights import Flight, Flights

NEVER = 3600.0
_PATIENCE = 10.0
"""Seconds after which a turn that should have come has been lost."""
USER = User("user_1", "alice")


@dataclass
class Visitor:
    """A turn that takes its session, and keeps it until told to go."""

    name: str
    flight: Flight[None] = field(init=False)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)


class Replica:
    """One process of several on the same store, as far as the order of turns goes."""

    def __init__(self, store: InMemoryStore, inside: list[str], history: list[str], timeout: float = NEVER) -> None:
        self.store = store
        self.claims = Claims(store, timeout=timeout, lease=30.0, sleep=_no_pause)
        self.flights = Flights()
        self.inside = inside
        self.history = history

    async def arrive(self, name: str, session_id: str = "sess_1") -> Visitor:
        """A visitor who has come as far as possible without anybody else's help."""
        visitor = Visitor(name)
        visitor.flight = self.flights.launch(lambda flight: self._visit(flight, visitor, session_id))
        await settle()
        return visitor

    async def _visit(self, flight: Flight[None], visitor: Visitor, session_id: str) -> None:
        async with self.claims.claim(flight, USER.id, session_id) as claim:
            claim.is_held = True
            opening = TurnOpening(USER.id, session_id, hold=claim.hold)
            while (opened := await self.store.open_turn(opening)) is None or isinstance(opened, Locked):
                assert opened is not None, f"{session_id} is not there"
                await self.claims.wait_longer(claim)
                claim.is_held = True
                opening = TurnOpening(USER.id, session_id, hold=claim.hold)
            self.history.append(visitor.name)
            self.inside.append(visitor.name)
            assert [name for name in self.inside if name[0] == visitor.name[0]] == [visitor.name]
            try:
                async with flight.waiting():
                    await visitor.may_go.wait()
            finally:
                self.inside.remove(visitor.name)


class House:
    """Two replicas, and what their visitors saw."""

    def __init__(self, store: InMemoryStore, timeout: float = NEVER) -> None:
        self.store = store
        self.inside: list[str] = []
        self.history: list[str] = []
        self.here, self.there = [Replica(store, self.inside, self.history, timeout) for _ in range(2)]

    async def check_forgotten(self) -> None:
        for replica in (self.here, self.there):
            await replica.claims.aclose()
            assert list(replica.claims.live()) == []
            assert list(replica.claims._queues.items()) == []
        for session_id in ("sess_1", "sess_2"):
            # Free, and nobody waits: a newcomer without a ticket would be behind them.
            hold = Hold("newcomer")
            assert isinstance(await self.store.open_turn(TurnOpening(USER.id, session_id, hold=hold)), OpenedTurn)
            await self.store.release_hold(session_id, hold)


async def _no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


async def settle() -> None:
    """Let every task run until it waits for something that is not there yet."""
    for _ in range(20):
        await asyncio.sleep(0)


async def make_store() -> InMemoryStore:
    store = InMemoryStore()
    await store.add_user(USER)
    now = datetime.now(UTC)
    for session_id in ("sess_1", "sess_2"):
        await store.create_session(Session(session_id, USER.id, None, None, 20, (), {}, now, now))
    return store


@pytest.fixture
async def house() -> House:
    return House(await make_store())


async def go(*visitors: Visitor) -> None:
    for visitor in visitors:
        visitor.may_go.set()
        await asyncio.wait_for(visitor.flight.task, _PATIENCE)


async def test_a_free_session_is_taken_at_once_and_without_a_ticket(house: House) -> None:
    visitor = await house.here.arrive("a")
    assert house.inside == ["a"]
    [(session_id, hold)] = house.here.claims.live()
    assert (session_id, hold.ticket) == ("sess_1", None)
    await go(visitor)
    await house.check_forgotten()


async def test_visitors_enter_in_the_order_they_arrived_wherever_they_did(house: House) -> None:
    here, there = house.here, house.there
    order = [here, here, there, here, there, there, here]
    visitors = [await replica.arrive(f"a{number}") for number, replica in enumerate(order)]
    for visitor in visitors:
        assert house.inside == [visitor.name]
        await go(visitor)
        await settle()
    assert house.history == [f"a{number}" for number in range(len(order))]
    await house.check_forgotten()


async def test_the_first_of_a_process_goes_by_the_lowest_ticket_of_its_process(house: House) -> None:
    """Or it would wait for the one behind it, who had its ticket first."""
    holder = await house.there.arrive("a0")
    first = Visitor("a1")
    first.flight = house.here.flights.launch(lambda flight: house.here._visit(flight, first, "sess_1"))
    second = await house.here.arrive("a2")  # both run their first steps now, side by side
    by_ticket = sorted((hold.ticket or 0, hold.id != "") for _, hold in house.here.claims.live())
    assert [is_first for _, is_first in by_ticket] == [True, False]
    await go(holder, first, second)
    assert house.history == ["a0", "a1", "a2"]
    await house.check_forgotten()


async def test_sessions_do_not_wait_for_each_other(house: House) -> None:
    visitors = [await house.here.arrive("a", "sess_1"), await house.here.arrive("b", "sess_2")]
    assert house.inside == ["a", "b"]
    await go(*visitors)
    await house.check_forgotten()


@pytest.mark.parametrize("where", ["here", "there"])
async def test_who_waits_too_long_gets_a_conflict_and_leaves_no_ticket(where: str) -> None:
    house = House(await make_store(), timeout=0.01)
    holder = await house.here.arrive("a")
    late = await getattr(house, where).arrive("b")
    with pytest.raises(Conflict) as caught:
        await asyncio.wait_for(late.flight.task, _PATIENCE)
    error = caught.value
    assert (error.status, error.code, error.param) == (409, "session_locked", "session_id")
    assert error.headers == {"retry-after": "1"}
    assert "0.01 s" in error.message
    assert house.inside == ["a"]
    await go(holder)
    await house.check_forgotten()


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_waiter_who_is_interrupted_is_passed_over(house: House, where: str) -> None:
    first = await house.here.arrive("a")
    second = await getattr(house, where).arrive("b")
    third = await house.here.arrive("c")
    second.flight.interrupt(ShuttingDown())
    with pytest.raises(ShuttingDown):
        await asyncio.wait_for(second.flight.task, _PATIENCE)
    await go(first)
    await settle()
    assert house.inside == ["c"]
    await go(third)
    await house.check_forgotten()


async def test_a_turn_that_fails_lets_the_next_one_in(house: House) -> None:
    first, second = await house.here.arrive("a"), await house.there.arrive("b")
    first.flight.task.cancel()
    await asyncio.wait([first.flight.task])
    await settle()
    assert house.inside == ["b"]
    await go(second)
    await house.check_forgotten()


async def test_a_turn_that_was_closed_is_not_let_go_of_again() -> None:
    released: list[str] = []

    class Watched(InMemoryStore):
        async def release_hold(self, session_id: str, hold: Hold) -> None:
            released.append(session_id)

    claims = Claims(Watched(), timeout=NEVER, lease=30.0)

    async def closed(flight: Flight[None]) -> None:
        async with claims.claim(flight, USER.id, "sess_1") as claim:
            claim.is_held = True
            claim.settle()

    async def given_up(flight: Flight[None]) -> None:
        async with claims.claim(flight, USER.id, "sess_1") as claim:
            claim.is_held = True

    for turn in (closed, given_up):
        await Flights().launch(turn).task
        await claims.aclose()
        assert released == ([] if turn is closed else ["sess_1"])


async def test_without_a_database_nobody_waits_and_nothing_stays(house: House) -> None:
    holder = await house.here.arrive("a")
    await house.store.aclose()
    refused = await house.here.arrive("b")
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(refused.flight.task, _PATIENCE)
    assert len(list(house.here.claims._queues.items())) == 1
    await go(holder)
    await house.here.claims.aclose()
    assert list(house.here.claims._queues.items()) == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["here", "there", "cancel", "interrupt", "go", "settle"]), st.integers(min_value=0, max_value=5)
    ),
    max_size=25,
)


@given(STEPS)
@example([("here", 0), ("here", 0), ("there", 0), ("here", 0), ("cancel", 1)])  # nobody inherits the place of a1
def test_however_visitors_come_and_leave_nobody_is_lost(steps: list[tuple[str, int]]) -> None:
    asyncio.run(play(steps))


async def play(steps: Sequence[tuple[str, int]]) -> None:
    """Visitors arrive, give up and go, with and without a chance for the others to notice in between."""
    house = House(await make_store())
    visitors: list[Visitor] = []
    for step, number in steps:
        if step in ("here", "there"):
            visitors.append(await getattr(house, step).arrive(f"a{len(visitors)}"))
        elif step == "settle":
            await settle()
        elif visitors and step == "cancel":
            visitors[number % len(visitors)].flight.task.cancel()
        elif visitors and step == "interrupt":
            visitors[number % len(visitors)].flight.interrupt(ShuttingDown())
        elif visitors:
            visitors[number % len(visitors)].may_go.set()
    for visitor in visitors:
        visitor.may_go.set()
    async with asyncio.timeout(_PATIENCE):
        results = await asyncio.gather(*(visitor.flight.task for visitor in visitors), return_exceptions=True)
    assert not [result for result in results if isinstance(result, (AssertionError, Conflict))]
    assert all(
        visitor.name in house.history for visitor, result in zip(visitors, results, strict=True) if result is None
    )
    assert house.history == sorted(house.history, key=lambda name: int(name[1:]))
    await house.check_forgotten()


async def test_a_hundred_visitors_of_two_processes_all_get_in_once(house: House) -> None:
    replicas = [house.here, house.there]
    visitors = [await replicas[number % 2].arrive(f"a{number}") for number in range(100)]
    for visitor in visitors:
        visitor.may_go.set()
    async with asyncio.timeout(_PATIENCE):
        results = await asyncio.gather(*(visitor.flight.task for visitor in visitors), return_exceptions=True)
    assert not [result for result in results if isinstance(result, GatewayError)]
    assert house.history == [f"a{number}" for number in range(100)]
    await house.check_forgotten()
