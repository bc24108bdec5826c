"""What every store promises of a session that is made by the turn that holds it."""

import asyncio

import pytest

from gateway.domain import User
from gateway.ports import OpenedTurn, Store
from gateway.storage.errors import ConstraintViolated
from tests.contract.store.holding import FIRST, SECOND
from tests.contract.store.values import ALICE, BOB, at, current, hits, make_session, make_turn, opened, opening

NOBODY = User("user_nobody", "nobody")


async def test_it_is_stored_whole(store: Store) -> None:
    session = make_session(
        "my-own-id",
        name="Plans",
        model="fast",
        max_history_messages=5,
        instructions=(b'{"role":"system","content":"Be brief."}',),
        metadata={"a": 1},
        created_at=at(1),
        updated_at=at(2),
        message_count=3,
        failed_count=1,
        total_tokens=7,
        last_seq=4,
        exchange_seq=2,
        epoch=6,
        last_message_at=at(3),
        ttl_seconds=600,
    )
    turn = await opened(store, opening(session, create=session, hold=FIRST))
    assert (turn.session, list(turn.messages), turn.after) == (session, [], 0)
    assert await current(store, session) == session


async def test_its_title_is_found_and_its_turn_can_be_closed(store: Store) -> None:
    session = make_session("my-own-id", name="Plans for Paris")
    await store.open_turn(opening(session, create=session, hold=FIRST))
    assert await store.close_turn(make_turn(session, hold=FIRST)) == 1
    assert await hits(store, "paris") == [("my-own-id", 0)]


async def test_an_id_that_is_anothers_stays_so(store: Store) -> None:
    of_bob, of_alice = make_session("shared", BOB), make_session("shared", ALICE)
    await store.create_session(of_bob)
    assert await store.open_turn(opening(of_alice, create=of_alice, hold=FIRST)) is None
    assert isinstance(await store.open_turn(opening(of_bob, create=of_bob, hold=SECOND)), OpenedTurn)


async def test_users_that_create_and_hold_one_id_at_once_do_not_share_it(store: Store) -> None:
    sessions = [make_session("shared", user) for user in (ALICE, BOB) * 5]
    found = await asyncio.gather(*[store.open_turn(opening(one, create=one, hold=FIRST)) for one in sessions])
    owners = {turn.session.user_id for turn in found if isinstance(turn, OpenedTurn)}
    assert len(owners) == 1


async def test_nothing_is_made_for_a_user_that_is_not_there(store: Store) -> None:
    session = make_session("my-own-id", NOBODY)
    with pytest.raises(ConstraintViolated):
        await store.open_turn(opening(session, create=session, hold=FIRST))
    assert await store.get_session(NOBODY.id, "my-own-id") is None
