"""What every store promises about users and keys."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from gateway.domain import Scope, User
from gateway.ports import Store
from gateway.storage.errors import ConstraintViolated
from tests.contract.store.kinds import DURABLE
from tests.contract.store.values import (
    ALICE,
    BOB,
    at,
    make_audit,
    make_key,
)


async def test_a_store_has_keys_once_one_was_created_even_if_it_is_revoked(empty: Store) -> None:
    assert await empty.has_keys() is False
    await empty.add_key(make_key())
    assert await empty.has_keys() is True
    await empty.revoke_key("key_1", at(1))
    assert await empty.has_keys() is True


async def check_first_keys_are_added_once(stores: Sequence[Store]) -> None:
    async def add(number: int) -> bool:
        key = make_key(f"key_{number}")
        return await stores[number % len(stores)].add_first_keys([(key, make_audit(f"audit_{number}", target=key.id))])

    added = await asyncio.gather(*[add(number) for number in range(6)])
    assert added.count(True) == 1
    [key] = await stores[0].list_keys()
    assert key.id == f"key_{added.index(True)}"
    assert [entry.target for entry in (await stores[0].list_audit(limit=10, offset=0)).items] == [key.id]


async def test_of_tasks_that_add_first_keys_at_once_one_does(empty: Store) -> None:
    await check_first_keys_are_added_once([empty])


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_of_stores_that_add_first_keys_at_once_one_does(make_store: Callable[[], Store], empty: Store) -> None:
    other = make_store()
    await other.start()
    await check_first_keys_are_added_once([empty, other])
    await other.aclose()


async def test_first_keys_are_not_added_where_there_was_one_even_if_it_is_revoked(empty: Store) -> None:
    await empty.add_key(make_key("key_1"))
    await empty.revoke_key("key_1", at(1))
    assert not await empty.add_first_keys([(make_key("key_2", BOB), make_audit("audit_1"))])
    assert [key.id for key in await empty.list_keys()] == ["key_1"]
    assert (await empty.list_audit(limit=10, offset=0)).items == []


async def test_a_key_is_found_with_every_field_that_it_was_stored_with(empty: Store) -> None:
    key = make_key(
        name="laptop",
        scopes=frozenset({Scope.USER, Scope.ADMIN}),
        hash=b"\x00\xff" * 16,
        expires_at=at(86_400.654321),
    )
    assert await empty.add_key(key) == key
    assert await empty.find_key(key.id) == key


async def test_a_key_that_was_never_stored_is_not_found(store: Store) -> None:
    assert await store.find_key("key_unknown") is None
    assert await store.revoke_key("key_unknown", at(1)) is None


async def test_a_second_key_of_the_same_name_belongs_to_the_user_that_is_stored(empty: Store) -> None:
    await empty.add_key(make_key("key_1", User("user_first", "alice")))
    second = await empty.add_key(make_key("key_2", User("user_second", "alice")))
    assert second.user == User("user_first", "alice")
    assert await empty.find_key("key_2") == second


async def test_keys_of_one_new_user_added_at_once_share_that_user(empty: Store) -> None:
    added = await asyncio.gather(
        *[empty.add_key(make_key(f"key_{number}", User(f"user_{number}", "alice"))) for number in range(10)]
    )
    assert len({key.user for key in added}) == 1


async def test_a_key_id_is_used_once_and_the_refused_one_leaves_no_user_behind(store: Store) -> None:
    with pytest.raises(ConstraintViolated):
        await store.add_key(make_key("key_1", User("user_carol", "carol")))
    carol = User("user_carol_2", "carol")
    assert (await store.add_key(make_key("key_3", carol))).user == carol


async def test_a_user_id_does_not_stand_for_two_names(store: Store) -> None:
    with pytest.raises(ConstraintViolated):
        await store.add_key(make_key("key_3", User(ALICE.id, "mallory")))
    assert await store.find_key("key_3") is None


async def test_keys_are_listed_oldest_first_for_everyone_and_for_one_user(empty: Store) -> None:
    newest = make_key("key_a", ALICE, created_at=at(3))
    oldest = make_key("key_z", ALICE, created_at=at(1))
    middle = make_key("key_m", BOB, created_at=at(2))
    for key in (newest, oldest, middle):
        await empty.add_key(key)
    assert await empty.list_keys() == [oldest, middle, newest]
    assert await empty.list_keys(user_name="alice") == [oldest, newest]
    assert await empty.list_keys(user_name="nobody") == []


async def test_keys_of_one_instant_are_listed_in_the_order_of_their_ids(empty: Store) -> None:
    for key_id in ("key_b", "key_c", "key_a"):
        await empty.add_key(make_key(key_id))
    assert [key.id for key in await empty.list_keys()] == ["key_a", "key_b", "key_c"]


async def test_revoking_twice_keeps_the_first_time_and_the_key_stays_listed(store: Store) -> None:
    first = await store.revoke_key("key_1", at(1.000001))
    second = await store.revoke_key("key_1", at(2))
    assert first == second == make_key("key_1", revoked_at=at(1.000001))
    assert await store.find_key("key_1") == first
    assert first in await store.list_keys(user_name="alice")
