"""What every store promises of keys that are changed, rotated and used."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain import ApiKey, KeyChanges, Limits, Rotation, Scope, User
from gateway.errors import InvalidRequest
from gateway.ports import Store
from gateway.storage.errors import ConstraintViolated
from tests.contract.store.kinds import DURABLE
from tests.contract.store.values import actions, at, make_audit, make_key, started

LIMITS = Limits(60, 10_000, 4, 1_000_000, 10_000_000, 2.5, 0.1)
MODELS = frozenset({"fast", "provider/slów", 'quo"te'})

RESTRICTED = make_key(
    "key_restricted",
    name="laptop",
    scopes=frozenset(Scope),
    expires_at=at(100),
    last_used_at=at(3),
    allowed_models=MODELS,
    limits=LIMITS,
)


def changes(**fields: object) -> KeyChanges:
    return KeyChanges(frozenset(fields), **fields)  # type: ignore[arg-type]  # whatever a test sets


async def found(store: Store, key_id: str = "key_1") -> ApiKey:
    key = await store.find_key(key_id)
    assert key is not None
    return key


async def test_what_a_key_may_use_comes_back_as_it_was(store: Store) -> None:
    assert await store.add_key(RESTRICTED) == RESTRICTED
    assert await store.find_key(RESTRICTED.id) == RESTRICTED
    assert RESTRICTED in await store.list_keys(user_name="alice")


async def test_no_models_at_all_are_not_any_model(store: Store) -> None:
    none = make_key("key_none", allowed_models=frozenset())
    await store.add_key(none)
    assert await store.find_key("key_none") == none


# ── updating ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_field_can_be_set_and_cleared(store: Store) -> None:
    before = await found(store)
    every = {
        "name": "phone",
        "scopes": frozenset(Scope),
        "allowed_models": MODELS,
        "limits": LIMITS,
        "expires_at": at(5),
    }
    changed = await store.update_key("key_1", changes(**every))
    assert changed == await found(store)
    assert {name: getattr(changed, name) for name in every} == every
    assert await store.find_key("key_2") == make_key("key_2", (await found(store, "key_2")).user)

    cleared = KeyChanges(frozenset(every))
    assert await store.update_key("key_1", cleared) == before == await found(store)


async def test_fields_that_are_not_named_stay(store: Store) -> None:
    await store.add_key(RESTRICTED)
    changed = await store.update_key(RESTRICTED.id, KeyChanges(frozenset({"name"}), name="x", expires_at=at(9)))
    assert changed == await found(store, RESTRICTED.id)
    assert changed is not None
    assert changed == replace(RESTRICTED, name="x", user=changed.user)


async def test_single_limits_change_and_the_others_stay(store: Store) -> None:
    await store.add_key(RESTRICTED)
    named = KeyChanges(
        frozenset({"parallel_calls", "dollars_per_day"}), limits=Limits(parallel_calls=9, tokens_per_day=1)
    )
    await store.update_key(RESTRICTED.id, named)
    expected = Limits(60, 10_000, 9, 1_000_000, 10_000_000, None, 0.1)
    assert (await found(store, RESTRICTED.id)).limits == expected


async def test_updates_at_once_lose_nothing_of_each_other(store: Store) -> None:
    names = ("requests_per_minute", "tokens_per_minute", "parallel_calls", "tokens_per_day", "tokens_per_month")
    await asyncio.gather(
        *[store.update_key("key_1", KeyChanges(frozenset({name}), limits=Limits(**{name: 7}))) for name in names]
    )
    assert (await found(store)).limits == Limits(7, 7, 7, 7, 7)


async def test_an_update_leaves_its_audit_entry_if_it_changed_anything(store: Store) -> None:
    assert await store.update_key("key_1", changes(name="x"), audit=make_audit(action="key.update")) is not None
    assert await store.update_key("key_1", changes(name="x"), audit=make_audit(action="key.update")) is not None
    for unknown in ("key_nope", "", "key\0", "key_\ud800"):
        assert await store.update_key(unknown, changes(name="x"), audit=make_audit(action="key.update")) is None
    assert await actions(store) == ["key.update"]


@pytest.mark.parametrize("wrong", [changes(name="a\0"), changes(allowed_models=frozenset({"fast", "\ud800"}))])
async def test_what_cannot_be_stored_changes_nothing(store: Store, wrong: KeyChanges) -> None:
    before = await found(store)
    with pytest.raises(InvalidRequest):
        await store.update_key("key_1", wrong, audit=make_audit())
    assert await found(store) == before
    assert await actions(store) == []


# ── rotating ─────────────────────────────────────────────────────────────────────────────────────────────────────


def rotation(key_id: str = "key_next", **fields: object) -> Rotation:
    given = {"hash": b"\x01" * 32, "at": at(10), "old_expires_at": at(60), **fields}
    return Rotation(key_id, **given)  # type: ignore[arg-type]  # whatever a test sets


async def test_a_rotated_key_is_followed_by_one_that_may_do_the_same(store: Store) -> None:
    await store.add_key(RESTRICTED)
    rotated = await store.rotate_key(RESTRICTED.id, rotation(), audit=make_audit(action="key.rotate"))
    assert rotated is not None
    old, new = rotated
    assert [old, new] == [await found(store, RESTRICTED.id), await found(store, "key_next")]
    assert old.expires_at == at(60)
    assert (new.user, new.name, new.scopes) == (old.user, "laptop", frozenset(Scope))
    assert (new.allowed_models, new.limits) == (MODELS, LIMITS)
    assert (new.hash, new.created_at, new.last_used_at) == (b"\x01" * 32, at(10), None)
    assert new.expires_at == at(110), "as long as the old one was given"
    assert await actions(store) == ["key.rotate"]


async def test_a_successor_may_do_what_its_key_may_do_now(store: Store) -> None:
    await store.add_key(RESTRICTED)
    await store.update_key(RESTRICTED.id, changes(scopes=frozenset({Scope.USER})))
    await store.update_key("key_1", changes(scopes=frozenset(Scope)))
    for key_id, scopes in ((RESTRICTED.id, {Scope.USER}), ("key_1", set(Scope))):
        assert await store.rotate_key(key_id, rotation(f"{key_id}_next")) is not None
        assert {(await found(store, each)).scopes for each in (key_id, f"{key_id}_next")} == {frozenset(scopes)}


async def test_a_key_for_ever_is_followed_by_one_for_ever(store: Store) -> None:
    rotated = await store.rotate_key("key_1", rotation())
    assert rotated is not None
    assert [key.expires_at for key in rotated] == [at(60), None]


async def test_a_key_that_ends_sooner_than_the_overlap_ends_then(store: Store) -> None:
    await store.add_key(RESTRICTED)
    await store.rotate_key(RESTRICTED.id, rotation(old_expires_at=at(1000)))
    assert (await found(store, RESTRICTED.id)).expires_at == at(100)


async def test_nothing_outlasts_the_calendar(store: Store) -> None:
    last = datetime(9999, 12, 31, tzinfo=UTC)
    await store.add_key(make_key("key_long", expires_at=last))
    rotated = await store.rotate_key("key_long", rotation())
    assert rotated is not None
    assert rotated[1].expires_at is not None
    assert rotated[1].expires_at >= last


@pytest.mark.parametrize("key_id", ["key_revoked", "key_expired", "key_disabled", "key_nope", "", "key\0"])
async def test_a_key_that_is_of_no_use_is_not_rotated(store: Store, key_id: str) -> None:
    await store.add_key(make_key("key_revoked", revoked_at=at(1)))
    await store.add_key(make_key("key_expired", expires_at=at(10)))
    await store.add_key(make_key("key_disabled", User("user_carol", "carol", disabled_at=at(1))))
    before = await store.list_keys()
    assert await store.rotate_key(key_id, rotation(), audit=make_audit()) is None
    assert await store.list_keys() == before
    assert await actions(store) == []


async def test_a_successor_of_an_id_that_is_taken_leaves_all_as_it_was(store: Store) -> None:
    before = await store.list_keys()
    with pytest.raises(ConstraintViolated):
        await store.rotate_key("key_1", rotation("key_2"), audit=make_audit())
    assert await store.list_keys() == before
    assert await actions(store) == []


async def test_rotations_at_once_each_make_a_key(store: Store) -> None:
    made = await asyncio.gather(*[store.rotate_key("key_1", rotation(f"key_next_{number}")) for number in range(4)])
    assert None not in made
    assert len(await store.list_keys(user_name="alice")) == 5


# ── using ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_uses_of_many_keys_are_noted_at_once(store: Store) -> None:
    await store.note_key_uses({"key_1": at(1.000001), "key_2": at(2), "key_gone": at(3)})
    assert [(await found(store, key_id)).last_used_at for key_id in ("key_1", "key_2")] == [at(1.000001), at(2)]


async def test_the_last_use_never_moves_back(store: Store) -> None:
    for seconds in (5, 5, 3):
        await store.note_key_uses({"key_1": at(seconds)})
    assert (await found(store)).last_used_at == at(5)
    await store.note_key_uses({"key_1": at(6), "key_2": at(1)})
    assert (await found(store)).last_used_at == at(6)


async def test_no_uses_are_nothing(store: Store) -> None:
    before = await store.list_keys()
    await store.note_key_uses({})
    assert await store.list_keys() == before


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_another_store_sees_what_was_changed(make_store: Callable[[], Store], store: Store) -> None:
    await store.update_key("key_1", changes(allowed_models=MODELS, limits=LIMITS))
    await store.note_key_uses({"key_1": at(4)})
    async with started(make_store) as other:
        assert await other.find_key("key_1") == await found(store)


async def test_an_overlap_of_nothing_ends_the_old_key_at_once(store: Store) -> None:
    rotated = await store.rotate_key("key_1", rotation(old_expires_at=at(10)))
    assert rotated is not None
    old, new = rotated
    assert not old.is_usable(at(10))
    assert new.is_usable(at(10) + timedelta(days=9999))
