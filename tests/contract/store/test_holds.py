"""What every store promises of holds: a session has one turn at a time, and who came first goes first."""

import asyncio
from dataclasses import replace

from gateway.domain import Session
from gateway.ports import Hold, Locked, Store
from tests.contract.store.holding import FIRST, SECOND, THIRD, takes, with_ticket
from tests.contract.store.values import (
    ALICE,
    BOB,
    at,
    make_session,
    make_turn,
    opened,
    opening,
    seqs,
)


async def test_a_held_session_is_locked_for_others_and_says_no_more_than_that(store: Store, session: Session) -> None:
    assert await takes(store, session, FIRST)
    assert await store.open_turn(opening(session, hold=SECOND)) == Locked()


async def test_the_same_hold_opens_again(store: Store, session: Session) -> None:
    assert await takes(store, session, FIRST)
    assert await takes(store, session, FIRST)
    assert not await takes(store, session, SECOND)


async def test_a_session_is_read_without_a_hold_whoever_holds_it(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    assert await takes(store, session, FIRST)
    assert await seqs(store, opening(session)) == [1, 2]
    assert not await takes(store, session, SECOND)


async def test_reading_without_a_hold_takes_none(store: Store, session: Session) -> None:
    await opened(store, opening(session))
    assert await takes(store, session, FIRST)


async def test_holds_of_two_sessions_do_not_meet(store: Store, session: Session) -> None:
    other = make_session("sess_2")
    await store.create_session(other)
    assert await takes(store, session, FIRST)
    assert await takes(store, other, SECOND)


async def test_closing_the_turn_lets_go_and_the_next_sees_what_it_wrote(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    await store.close_turn(make_turn(session, hold=FIRST))
    turn = await opened(store, opening(session, hold=SECOND))
    assert [message.seq for message in turn.messages] == [1, 2]
    assert turn.session.last_seq == 2


async def test_closing_a_turn_without_its_hold_lets_nothing_go(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    await store.close_turn(make_turn(session))
    assert not await takes(store, session, SECOND)


async def test_a_hold_is_released_without_a_turn(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    await store.release_hold(session.id, FIRST)
    assert await takes(store, session, SECOND)


async def test_nobody_lets_go_of_somebody_elses_hold(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    await store.release_hold(session.id, SECOND)
    await store.close_turn(make_turn(session, hold=SECOND))
    assert not await takes(store, session, THIRD)
    assert await takes(store, session, FIRST)


async def test_releasing_what_is_not_held_is_harmless(store: Store, session: Session) -> None:
    await store.release_hold(session.id, FIRST)
    await store.release_hold("sess_unknown", replace(FIRST, ticket=1_000_000))
    assert await takes(store, session, SECOND)


async def test_cached_messages_are_left_out_with_a_hold_too(store: Store, session: Session) -> None:
    for _ in range(3):
        await store.close_turn(make_turn(session))
    turn = await opened(store, opening(session, known_seq=4, known_epoch=0, hold=FIRST))
    assert (turn.after, [message.seq for message in turn.messages]) == (4, [5, 6])
    await store.release_hold(session.id, FIRST)
    turn = await opened(store, opening(session, known_seq=4, known_epoch=9, hold=SECOND))
    assert (turn.after, [message.seq for message in turn.messages]) == (0, [1, 2, 3, 4, 5, 6])


async def test_an_unknown_a_deleted_and_anothers_session_are_not_found_though_held(
    store: Store, session: Session
) -> None:
    assert await store.open_turn(opening(make_session("sess_unknown"), hold=FIRST)) is None
    await takes(store, session, FIRST)
    assert await store.open_turn(replace(opening(session, hold=SECOND), user_id=BOB.id)) is None
    await store.delete_session(ALICE.id, session.id, at(1))
    assert await store.open_turn(opening(session, hold=SECOND)) is None


async def test_an_archived_session_is_not_held(store: Store) -> None:
    session = make_session("sess_old", archived_at=at(1))
    await store.create_session(session)
    for hold in (FIRST, SECOND):
        turn = await opened(store, opening(session, hold=hold))
        assert (turn.session, list(turn.messages)) == (session, [])


async def test_a_session_made_by_its_opening_is_held(store: Store) -> None:
    session = make_session("my-own-id")
    turn = await opened(store, opening(session, create=session, hold=FIRST))
    assert turn.session == session
    assert await store.open_turn(opening(session, create=session, hold=SECOND)) == Locked()


async def test_of_tasks_that_open_at_once_one_gets_the_session(store: Store, session: Session) -> None:
    holds = [Hold(f"hold_{number}") for number in range(20)]
    assert (await asyncio.gather(*[takes(store, session, hold) for hold in holds])).count(True) == 1


async def test_of_tasks_that_create_one_id_at_once_one_gets_it(store: Store) -> None:
    session = make_session("shared")
    asked = [opening(session, create=session, hold=Hold(f"hold_{number}")) for number in range(10)]
    found = await asyncio.gather(*[store.open_turn(one) for one in asked])
    assert sorted(type(one).__name__ for one in found) == ["Locked"] * 9 + ["OpenedTurn"]


async def test_a_session_made_anew_is_not_held_by_who_held_the_old_one(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    await store.purge_session(ALICE.id, session.id)
    await store.create_session(session)
    assert await takes(store, session, SECOND)


# who waits


async def test_tickets_grow(store: Store, session: Session) -> None:
    tickets = [(await with_ticket(store, session, FIRST)).ticket or 0 for _ in range(5)]
    assert tickets == sorted(set(tickets))


async def test_a_released_tickets_number_does_not_come_again(store: Store, session: Session) -> None:
    first = await with_ticket(store, session, FIRST)
    await store.release_hold(session.id, first)
    second = await with_ticket(store, session, SECOND)
    assert (second.ticket or 0) > (first.ticket or 0)


async def test_who_waits_goes_before_who_comes_later(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    waiting = await with_ticket(store, session, SECOND)
    await store.close_turn(make_turn(session, hold=FIRST))
    assert not await takes(store, session, THIRD)
    assert await takes(store, session, waiting)


async def test_of_those_who_wait_the_first_goes_first(store: Store, session: Session) -> None:
    earlier = await with_ticket(store, session, FIRST)
    later = await with_ticket(store, session, SECOND)
    assert not await takes(store, session, later)
    assert await takes(store, session, earlier)
    await store.close_turn(make_turn(session, hold=earlier))
    assert not await takes(store, session, THIRD)
    assert await takes(store, session, later)
    await store.close_turn(make_turn(session, hold=later))
    assert await takes(store, session, THIRD)


async def test_a_ticket_does_not_open_a_session_that_is_held(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    assert not await takes(store, session, await with_ticket(store, session, SECOND))


async def test_who_gives_up_waiting_frees_the_place(store: Store, session: Session) -> None:
    waiting = await with_ticket(store, session, FIRST)
    assert not await takes(store, session, SECOND)
    await store.release_hold(session.id, waiting)
    assert await takes(store, session, SECOND)


async def test_giving_up_a_place_does_not_free_the_session(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    await store.release_hold(session.id, await with_ticket(store, session, SECOND))
    assert not await takes(store, session, THIRD)


async def test_waiting_for_one_session_keeps_nobody_from_another(store: Store, session: Session) -> None:
    other = make_session("sess_2")
    await store.create_session(other)
    await with_ticket(store, session, FIRST)
    assert await takes(store, other, SECOND)


async def test_who_holds_the_session_opens_it_again_though_others_wait(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    await with_ticket(store, session, SECOND)
    assert await takes(store, session, FIRST)


async def test_renewing_keeps_holds_and_tickets_and_gives_none(store: Store, session: Session) -> None:
    await takes(store, session, FIRST)
    waiting = await with_ticket(store, session, SECOND)
    await store.renew_holds([(session.id, FIRST), (session.id, waiting), (session.id, THIRD)], lease=30)
    await store.renew_holds([("sess_unknown", THIRD)], lease=30)
    await store.renew_holds([], lease=30)
    assert not await takes(store, session, THIRD)
    await store.release_hold(session.id, FIRST)
    assert not await takes(store, session, THIRD)
    assert await takes(store, session, waiting)
