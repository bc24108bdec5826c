"""What every store promises of users who are made, limited and disabled."""

import asyncio

import pytest

from gateway.domain import Limits, User, UserChanges
from gateway.ports import Store
from tests.contract.store.values import ALICE, BOB, actions, at, make_audit, make_key

LIMITS = Limits(requests_per_minute=60, dollars_per_month=12.5)

DISABLE = UserChanges(frozenset({"disabled_at"}), disabled_at=at(1))
ENABLE = UserChanges(frozenset({"disabled_at"}))
LIMIT = UserChanges(frozenset({"limits"}), limits=LIMITS)


async def users_of_keys(store: Store) -> list[User]:
    return [key.user for key in await store.list_keys()]


async def test_a_user_comes_back_as_they_were_added(empty: Store) -> None:
    carol = User("user_carol", "carol", LIMITS, at(3))
    assert await empty.add_user(carol) == carol
    assert await empty.get_user("user_carol") == carol
    assert (await empty.list_users(limit=10, offset=0)).items == [carol]
    assert (await empty.add_key(make_key("key_9", User("user_other", "carol")))).user == carol


async def test_a_user_is_found_by_id_alone(store: Store) -> None:
    assert await store.get_user(ALICE.id) == ALICE
    for unknown in ("alice", "user_nope", "", "user_\0", "user_\ud800"):
        assert await store.get_user(unknown) is None


async def test_only_a_user_who_is_new_leaves_an_audit_entry(empty: Store) -> None:
    await empty.add_user(ALICE, audit=make_audit(action="user.create"))
    await empty.add_user(User("user_second", "alice"), audit=make_audit(action="user.create"))
    assert await actions(empty) == ["user.create"]


async def test_limits_are_set_changed_one_by_one_and_cleared(store: Store) -> None:
    changed = await store.update_user(ALICE.id, LIMIT)
    assert changed == await store.get_user(ALICE.id) == User(ALICE.id, "alice", LIMITS)
    assert await users_of_keys(store) == [changed, BOB]

    one = UserChanges(frozenset({"parallel_calls", "requests_per_minute"}), limits=Limits(parallel_calls=3))
    changed = await store.update_user(ALICE.id, one)
    assert changed is not None
    assert changed.limits == Limits(parallel_calls=3, dollars_per_month=12.5)

    assert await store.update_user(ALICE.id, UserChanges(frozenset({"limits"}))) == ALICE
    assert await store.get_user(ALICE.id) == ALICE


async def test_a_disabled_users_keys_are_of_no_use_until_they_are_enabled(store: Store) -> None:
    disabled = await store.update_user(ALICE.id, DISABLE)
    assert disabled == await store.get_user(ALICE.id) == User(ALICE.id, "alice", disabled_at=at(1))
    assert [key.is_usable(at(2)) for key in await store.list_keys()] == [False, True]

    assert await store.update_user(ALICE.id, ENABLE) == ALICE
    assert [key.is_usable(at(2)) for key in await store.list_keys()] == [True, True]


async def test_disabling_twice_keeps_the_first_time(store: Store) -> None:
    later = UserChanges(frozenset({"disabled_at"}), disabled_at=at(9))
    for changes in (DISABLE, later):
        changed = await store.update_user(ALICE.id, changes, audit=make_audit(action="user.disable"))
        assert changed is not None
        assert changed.disabled_at == at(1)
    assert await actions(store) == ["user.disable"]


async def test_changes_at_once_lose_nothing_of_each_other(store: Store) -> None:
    names = ("requests_per_minute", "tokens_per_minute", "parallel_calls", "tokens_per_day", "tokens_per_month")
    limiting = [UserChanges(frozenset({name}), limits=Limits(**{name: 7})) for name in names]
    await asyncio.gather(*[store.update_user(ALICE.id, changes) for changes in (*limiting, DISABLE)])
    assert await store.get_user(ALICE.id) == User(ALICE.id, ALICE.name, Limits(7, 7, 7, 7, 7), at(1))


@pytest.mark.parametrize("unknown", ["user_nope", "alice", "", "user_\0"])
async def test_an_unknown_user_is_not_changed(store: Store, unknown: str) -> None:
    assert await store.update_user(unknown, DISABLE, audit=make_audit()) is None
    assert (await store.list_users(limit=10, offset=0)).items == [ALICE, BOB]
    assert await actions(store) == []


async def test_a_key_made_for_a_disabled_user_is_of_no_use_either(store: Store) -> None:
    await store.update_user(ALICE.id, DISABLE)
    key = await store.add_key(make_key("key_9", ALICE))
    assert not key.is_usable(at(2))
