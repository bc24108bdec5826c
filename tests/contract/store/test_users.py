"""What every store promises of users: they are found by name, listed by id, and erased with all their texts."""

import asyncio

import pytest

from gateway.domain import Session, User
from gateway.ports import ClosedTurn, Hold, Store
from gateway.storage.errors import ConstraintViolated
from tests.contract.store.values import (
    ALICE,
    BOB,
    actions,
    add_texts,
    at,
    current,
    hits,
    ledger_of,
    make_audit,
    make_entry,
    make_key,
    make_session,
    make_text,
    make_turn,
    messages,
    opened,
    opening,
)


async def test_a_user_is_added_once_for_each_name(empty: Store) -> None:
    assert await empty.add_user(ALICE) == ALICE
    assert await empty.add_user(User("user_second", "alice")) == ALICE
    assert (await empty.list_users(limit=10, offset=0)).items == [ALICE]
    assert await empty.has_keys() is False


async def test_tasks_that_add_one_name_at_once_get_the_same_user(empty: Store) -> None:
    added = await asyncio.gather(*[empty.add_user(User(f"user_{number}", "alice")) for number in range(10)])
    assert len(set(added)) == 1


async def test_a_users_id_stands_for_one_name(store: Store) -> None:
    with pytest.raises(ConstraintViolated):
        await store.add_user(User(ALICE.id, "mallory"))
    assert (await store.list_users(limit=10, offset=0)).items == [ALICE, BOB]


async def test_names_differ_by_case_and_by_every_space(empty: Store) -> None:
    users = [User(f"user_{number}", name) for number, name in enumerate(("alice", "Alice", "alice ", "alicé"))]
    for user in users:
        assert await empty.add_user(user) == user


async def test_an_added_user_owns_keys_and_sessions(empty: Store) -> None:
    await empty.add_user(ALICE)
    assert (await empty.add_key(make_key(user=User("user_other", "alice")))).user == ALICE
    await empty.create_session(make_session())


@pytest.mark.parametrize(
    ("limit", "offset", "expected", "has_more"),
    [(2, 0, ["user_1", "user_2"], True), (2, 1, ["user_2", "user_3"], False), (3, 0, None, False), (1, 9, [], False)],
)
async def test_users_are_listed_in_the_order_of_their_ids(
    empty: Store, limit: int, offset: int, expected: list[str] | None, has_more: bool
) -> None:
    for user_id, name in (("user_2", "a"), ("user_3", "b"), ("user_1", "c")):
        await empty.add_user(User(user_id, name))
    found = await empty.list_users(limit=limit, offset=offset)
    assert [user.id for user in found.items] == (["user_1", "user_2", "user_3"] if expected is None else expected)
    assert found.has_more is has_more


async def live(store: Store, user: User) -> Session:
    """Leave something of the user in every place."""
    session = make_session(f"sess_of_{user.name}", user, name=f"title {user.name}")
    await store.create_session(session)
    await store.close_turn(ClosedTurn(make_entry(session, user), (make_text(f"words {user.name}"),)))
    await store.close_turn(ClosedTurn(make_entry(user=user, request_id="my-own-request-id")))
    deleted = make_session(f"sess_deleted_{user.name}", user)
    await store.create_session(deleted)
    await add_texts(store, deleted, f"deleted {user.name}")
    await store.delete_session(user.id, deleted.id, at(1))
    return session


async def test_an_erased_user_is_gone_with_keys_sessions_and_texts(store: Store) -> None:
    session = await live(store, ALICE)
    assert await store.erase_user(ALICE.id) is True
    assert (await store.list_users(limit=10, offset=0)).items == [BOB]
    assert await store.find_key("key_1") is None
    assert await store.list_keys() == [make_key("key_2", BOB)]
    assert (await store.list_sessions(ALICE.id, limit=10, offset=0, include_archived=True)).items == []
    assert await store.get_session(ALICE.id, session.id) is None
    assert await store.purge_session(ALICE.id, "sess_deleted_alice") is False
    assert await hits(store, "alice", include_archived=True) == []


async def test_an_erased_users_ledger_stays_without_what_a_client_could_have_chosen(store: Store) -> None:
    session = make_session()
    await store.create_session(session)
    entry = make_entry(session, cost=0.5, latency_ms=7.0, request_id="to-my-doctor")
    await store.close_turn(ClosedTurn(entry))
    await store.erase_user(ALICE.id)
    (left,) = await ledger_of(store)
    assert (left.session_id, left.request_id) == (None, "")
    assert (left.turn_id, left.cost, left.usage, left.latency_ms) == (entry.turn_id, 0.5, entry.usage, 7.0)


async def test_erasing_one_user_leaves_the_others(store: Store) -> None:
    await live(store, ALICE)
    session = await live(store, BOB)
    before = (
        await current(store, session),
        await messages(store, session),
        await store.session_stats(BOB.id, session.id),
        await ledger_of(store, BOB.id),
        await store.find_key("key_2"),
        await hits(store, "bob", BOB),
    )
    await store.erase_user(ALICE.id)
    assert before == (
        await current(store, session),
        await messages(store, session),
        await store.session_stats(BOB.id, session.id),
        await ledger_of(store, BOB.id),
        await store.find_key("key_2"),
        await hits(store, "bob", BOB),
    )
    assert await store.purge_session(BOB.id, "sess_deleted_bob") is True


async def test_the_name_and_the_sessions_of_an_erased_user_are_free_again(store: Store) -> None:
    session = await live(store, ALICE)
    await opened(store, opening(session, hold=Hold("hold_1")))
    await store.erase_user(ALICE.id)
    anew = User("user_anew", "alice")
    assert (await store.add_key(make_key("key_1", anew))).user == anew
    again = make_session(session.id, anew)
    await store.create_session(again)
    turn = await opened(store, opening(again, hold=Hold("hold_2")))
    assert (turn.session, list(turn.messages)) == (again, [])
    assert await hits(store, "words", anew) == []


async def test_a_turn_that_outlives_its_user_leaves_its_ledger_row_alone(store: Store, session: Session) -> None:
    await store.erase_user(ALICE.id)
    assert await store.close_turn(make_turn(session)) is None
    [entry] = await ledger_of(store)
    assert (entry.session_id, entry.request_id) == (None, "")
    await store.close_turn(ClosedTurn(make_entry(turn_id="turn_stateless", created_at=at(9))))
    assert (await ledger_of(store))[0].request_id == ""


async def test_an_unknown_user_is_not_erased_and_nobody_else(store: Store) -> None:
    for user_id in ("user_unknown", "alice", "", "user_%"):
        assert await store.erase_user(user_id, audit=make_audit(action="user.erase")) is False
    assert (await store.list_users(limit=10, offset=0)).items == [ALICE, BOB]
    assert await actions(store) == []


async def test_a_user_is_erased_once(store: Store) -> None:
    assert await store.erase_user(ALICE.id, audit=make_audit(action="user.erase")) is True
    assert await store.erase_user(ALICE.id, audit=make_audit(action="user.erase")) is False
    assert await actions(store) == ["user.erase"]
