"""A sign-in is checked every time; what its key may do is asked of the store no more often than for the key itself."""

from datetime import UTC, datetime

import pytest

from gateway.auth.sign_in import new_sign_in
from gateway.domain import UserChanges
from gateway.errors import AuthenticationFailed
from tests.unit.test_authenticator import Gate


async def refused(gate: Gate, text: str) -> None:
    with pytest.raises(AuthenticationFailed, match="Sign in again"):
        await gate.authenticator.signed_in(text)


@pytest.mark.parametrize("pepper", [None, "pepper"])
async def test_a_sign_in_has_its_keys_caller(pepper: str | None) -> None:
    gate = Gate(pepper=pepper)
    _, text = await gate.issue(admin=True)
    caller, sign_in = await gate.authenticator.sign_in(text)
    assert caller == await gate.enter(text)
    assert await gate.authenticator.signed_in(str(sign_in)) == caller


async def test_its_key_is_believed_as_long_as_any() -> None:
    gate = Gate(cache_seconds=5.0)
    key, text = await gate.issue()
    _, sign_in = await gate.authenticator.sign_in(text)
    gate.store.asked.clear()
    await gate.authenticator.signed_in(str(sign_in))
    await gate.store.revoke_key(key.id, datetime.now(UTC))
    gate.clock.now += 4.999
    await gate.authenticator.signed_in(str(sign_in))
    assert gate.store.asked == [key.id]
    gate.clock.now += 0.001
    await refused(gate, str(sign_in))


async def test_one_that_was_refused_works_as_soon_as_its_key_does() -> None:
    gate = Gate()
    key, text = await gate.issue()
    _, sign_in = await gate.authenticator.sign_in(text)
    disabled = frozenset({"disabled_at"})
    await gate.store.update_user(key.user.id, UserChanges(disabled, disabled_at=datetime.now(UTC)))
    await refused(gate, str(sign_in))
    await gate.store.update_user(key.user.id, UserChanges(disabled))
    assert (await gate.authenticator.signed_in(str(sign_in))).key_id == key.id


async def test_one_that_is_refused_does_not_count_as_a_use() -> None:
    gate = Gate()
    key, text = await gate.issue()
    _, sign_in = await gate.authenticator.sign_in(text)
    gate.authenticator.take_uses()
    await gate.store.revoke_key(key.id, datetime.now(UTC))
    await refused(gate, str(sign_in))
    assert gate.authenticator.take_uses() == {}


async def test_a_forged_one_is_refused_though_its_key_is_believed() -> None:
    gate = Gate()
    key, text = await gate.issue()
    other, _ = await gate.issue()
    _, sign_in = await gate.authenticator.sign_in(text)
    await gate.authenticator.signed_in(str(sign_in))
    forged = new_sign_in(other, None, datetime.now(UTC).timestamp())
    await refused(gate, str(forged).replace(other.id, key.id))
    await gate.authenticator.signed_in(str(sign_in))


async def test_one_whose_time_is_over_is_refused() -> None:
    gate = Gate()
    key, _ = await gate.issue()
    await refused(gate, str(new_sign_in(key, None, 1_000_000_000)))


async def test_what_is_none_is_refused_without_asking_the_store() -> None:
    gate = Gate()
    await refused(gate, "key_0123456789.99.short")
    assert gate.store.asked == []


async def test_its_key_counts_as_used() -> None:
    gate = Gate()
    key, text = await gate.issue()
    _, sign_in = await gate.authenticator.sign_in(text)
    gate.authenticator.take_uses()
    await gate.authenticator.signed_in(str(sign_in))
    assert list(gate.authenticator.take_uses()) == [key.id]
