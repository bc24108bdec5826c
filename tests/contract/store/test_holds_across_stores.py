"""What stores on one database promise of holds by two processes, of which one may die."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.domain import Session
from gateway.ports import ClosedTurn, Hold, OpenedTurn, Store
from tests.contract.store.holding import FIRST, SECOND, THIRD, takes, until, with_ticket
from tests.contract.store.kinds import DURABLE, LEASED
from tests.contract.store.values import (
    make_entry,
    make_session,
    make_text,
    make_turn,
    opened,
    opening,
    started,
)


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_what_one_store_holds_is_locked_for_another(
    store: Store, session: Session, make_store: Callable[[], Store]
) -> None:
    async with started(make_store) as other:
        assert await takes(store, session, FIRST)
        assert not await takes(other, session, SECOND)
        await other.release_hold(session.id, SECOND)
        assert not await takes(other, session, SECOND)
        await store.close_turn(make_turn(session, hold=FIRST))
        turn = await opened(other, opening(session, hold=SECOND))
        assert [message.seq for message in turn.messages] == [1, 2]
        assert not await takes(store, session, FIRST)


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_a_ticket_of_one_store_goes_before_newcomers_of_another(
    store: Store, session: Session, make_store: Callable[[], Store]
) -> None:
    async with started(make_store) as other:
        earlier = await with_ticket(store, session, FIRST)
        later = await with_ticket(other, session, SECOND)
        assert not await takes(other, session, THIRD)
        assert not await takes(other, session, later)
        assert await takes(store, session, earlier)
        await store.release_hold(session.id, earlier)
        assert await takes(other, session, later)


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_fifty_turns_that_go_to_and_fro_between_two_stores_miss_nothing(
    store: Store, session: Session, make_store: Callable[[], Store]
) -> None:
    said: list[bytes] = []
    async with started(make_store) as other:
        for number in range(50):
            turning = (store, other)[number % 2]
            hold = Hold(f"hold_{number}")
            turn = await opened(turning, opening(session, limit=1000, hold=hold))
            assert [message.body for message in turn.messages] == said
            message = make_text(f"message {number}")
            assert await turning.close_turn(ClosedTurn(make_entry(session), (message,), hold=hold)) == number + 1
            said.append(message.body)


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_turns_of_two_stores_that_race_for_a_session_come_one_after_the_other(
    store: Store, session: Session, make_store: Callable[[], Store]
) -> None:
    async def work(turning: Store, name: str) -> None:
        for number in range(10):
            hold = Hold(f"{name}_{number}")
            found = await turning.open_turn(opening(session, hold=hold))
            while not isinstance(found, OpenedTurn):
                await asyncio.sleep(0.001)
                found = await turning.open_turn(opening(session, hold=hold))
            seen = found.session.last_seq
            assert await turning.close_turn(make_turn(session, hold=hold)) == seen + 1

    async with asyncio.timeout(30), started(make_store) as other:
        await asyncio.gather(work(store, "a"), work(store, "b"), work(other, "c"), work(other, "d"))
    assert (await opened(store, opening(session))).session.last_seq == 80


# holds of processes that have died without letting go


@pytest.mark.parametrize("kind", LEASED, indirect=True)
async def test_a_hold_that_nobody_renews_lapses(store: Store, session: Session) -> None:
    assert await takes(store, session, FIRST, lease=0.2)
    await until(lambda: takes(store, session, SECOND))
    assert not await takes(store, session, FIRST)


@pytest.mark.parametrize("kind", LEASED, indirect=True)
async def test_a_ticket_that_nobody_renews_lapses(store: Store, session: Session) -> None:
    await with_ticket(store, session, FIRST, lease=0.2)
    await until(lambda: takes(store, session, SECOND))


@pytest.mark.parametrize("kind", LEASED, indirect=True)
async def test_what_is_renewed_outlives_its_first_lease(store: Store, session: Session) -> None:
    """Another session's hold, taken later for as long, tells when the first lease is over."""
    other = make_session("sess_2")
    await store.create_session(other)
    await takes(store, session, FIRST, lease=0.2)
    waiting = await with_ticket(store, session, SECOND, lease=0.2)
    await store.renew_holds([(session.id, FIRST), (session.id, waiting)], lease=30)
    await takes(store, other, FIRST, lease=0.2)
    await until(lambda: takes(store, other, SECOND))
    assert not await takes(store, session, THIRD)
    await store.release_hold(session.id, FIRST)
    assert not await takes(store, session, THIRD)
    assert await takes(store, session, waiting)


@pytest.mark.parametrize("kind", LEASED, indirect=True)
async def test_a_hold_that_has_lapsed_and_was_taken_is_neither_renewed_nor_let_go(
    store: Store, session: Session
) -> None:
    await takes(store, session, FIRST, lease=0.2)
    await until(lambda: takes(store, session, SECOND))
    await store.renew_holds([(session.id, FIRST)], lease=30)
    await store.close_turn(make_turn(session, hold=FIRST))
    assert not await takes(store, session, THIRD)
    assert await takes(store, session, SECOND)
