"""Who is let in, for how long a key is believed, and what the store is asked."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.auth.authenticator import Authenticator
from gateway.auth.issuing import issue_key
from gateway.auth.keys import generate_key, hash_key
from gateway.domain import ApiKey, Caller, KeyChanges, Limits, Scope, User, UserChanges
from gateway.errors import AuthenticationFailed, StorageUnavailable
from gateway.storage.memory import InMemoryStore


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SlowStore(InMemoryStore):
    """Takes `seconds` of the clock for an answer, which was true when it was asked; notes which keys were asked for.

    `meanwhile` is what happens, once, between a question and its answer.
    """

    meanwhile: Callable[[], Awaitable[None]] | None = None

    def __init__(self, clock: Clock, seconds: float = 0.0) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._clock = clock
        self._seconds = seconds

    async def find_key(self, key_id: str) -> ApiKey | None:
        self.asked.append(key_id)
        found = await super().find_key(key_id)
        self._clock.now += self._seconds
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            await meanwhile()
        return found


class Gate:
    """An authenticator with its clock and its store, and one key of alice's."""

    def __init__(self, *, pepper: str | None = None, cache_seconds: float = 5.0, delay: float = 0.0) -> None:
        self.clock = Clock()
        self.store = SlowStore(self.clock, delay)
        self.pepper = pepper
        self.authenticator = Authenticator(self.store, pepper=pepper, cache_seconds=cache_seconds, clock=self.clock)

    async def issue(self, *, admin: bool = False) -> tuple[ApiKey, str]:
        return await issue_key(self.store, user_name="alice", pepper=self.pepper, admin=admin)

    async def enter(self, text: str) -> Caller:
        return await self.authenticator.authenticate(f"Bearer {text}")

    async def refusal(self, authorization: str | None) -> AuthenticationFailed:
        with pytest.raises(AuthenticationFailed) as caught:
            await self.authenticator.authenticate(authorization)
        return caught.value


@pytest.mark.parametrize("pepper", [None, "pepper"])
async def test_a_key_tells_its_caller(pepper: str | None) -> None:
    gate = Gate(pepper=pepper)
    key, text = await gate.issue(admin=True)
    assert await gate.enter(text) == Caller(key.user.id, "alice", key.id, frozenset({Scope.USER, Scope.ADMIN}))


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}", "Bearer {} "])
async def test_the_scheme_is_read_as_http_says(form: str) -> None:
    gate = Gate()
    key, text = await gate.issue()
    assert (await gate.authenticator.authenticate(form.format(text))).key_id == key.id


async def test_no_header_is_a_missing_key() -> None:
    error = await Gate().refusal(None)
    assert (error.status, error.code) == (401, "missing_api_key")
    assert error.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer    ", "Basic YTpi", "sk-gw-abc", "Bearersk-gw-abc", "Token x"]
)
async def test_a_malformed_header_is_told_its_form(header: str) -> None:
    gate = Gate()
    error = await gate.refusal(header)
    assert (error.status, error.code) == (401, "invalid_api_key")
    assert "Authorization: Bearer YOUR_KEY" in error.message
    assert gate.store.asked == []


async def test_what_cannot_be_a_key_is_refused_without_asking_the_store() -> None:
    gate = Gate()
    _, text = await gate.issue()
    typo = text[:-1] + ("0" if text[-1] != "0" else "1")
    for wrong in (typo, text[:-1], "sk-openai", "\xe9" * 48):
        error = await gate.refusal(f"Bearer {wrong}")
        assert (error.status, error.code) == (401, "invalid_api_key")
        assert wrong not in error.message
    assert gate.store.asked == []


async def test_an_unknown_key_works_from_the_moment_that_it_exists() -> None:
    gate = Gate()
    issued_elsewhere = Gate()
    key, text = await issued_elsewhere.issue()
    await gate.refusal(f"Bearer {text}")
    await gate.store.add_key(key)
    assert (await gate.enter(text)).key_id == key.id


async def test_the_secret_counts_and_not_only_the_id() -> None:
    gate = Gate()
    key, text = await gate.issue()
    other = replace(key, hash=hash_key(generate_key().text, None))
    gate = Gate()
    await gate.store.add_key(other)
    await gate.refusal(f"Bearer {text}")
    assert gate.store.asked == [key.id]


async def test_a_key_hashed_under_another_pepper_is_refused() -> None:
    gate = Gate(pepper="new")
    key, text = await Gate(pepper="old").issue()
    await gate.store.add_key(key)
    await gate.refusal(f"Bearer {text}")


class Incomparable(bytes):
    """Bytes that may be compared in constant time only."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a digest was compared with ==")

    __hash__ = bytes.__hash__


async def test_digests_are_compared_in_constant_time() -> None:
    gate = Gate()
    key, text = await Gate().issue()
    await gate.store.add_key(replace(key, hash=Incomparable(key.hash)))
    assert (await gate.enter(text)).key_id == key.id


# ── believing ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_believed_for_a_while_and_then_asked_for_again() -> None:
    gate = Gate(cache_seconds=5.0)
    key, text = await gate.issue()
    await gate.enter(text)
    gate.clock.now += 4.999
    await gate.enter(text)
    assert gate.store.asked == [key.id]
    gate.clock.now += 0.001
    await gate.enter(text)
    assert gate.store.asked == [key.id, key.id]


async def test_nothing_is_believed_where_the_settings_say_so() -> None:
    gate = Gate(cache_seconds=0.0)
    _, text = await gate.issue()
    await gate.enter(text)
    await gate.enter(text)
    assert len(gate.store.asked) == 2


async def test_a_key_revoked_elsewhere_works_no_longer_than_it_is_believed() -> None:
    gate = Gate(cache_seconds=5.0)
    key, text = await gate.issue()
    await gate.enter(text)
    await gate.store.revoke_key(key.id, datetime.now(UTC))
    gate.clock.now += 4.999
    await gate.enter(text)
    gate.clock.now += 0.001
    assert "revoked" in (await gate.refusal(f"Bearer {text}")).message


async def test_rights_taken_elsewhere_are_had_no_longer_than_a_key_is_believed() -> None:
    gate = Gate(cache_seconds=5.0)
    key, text = await gate.issue(admin=True)
    _, sign_in = await gate.authenticator.sign_in(text)

    async def scopes() -> set[frozenset[Scope]]:
        return {(await gate.enter(text)).scopes, (await gate.authenticator.signed_in(str(sign_in))).scopes}

    assert await scopes() == {frozenset(Scope)}
    await gate.store.update_key(key.id, KeyChanges(frozenset({"scopes"}), scopes=frozenset({Scope.USER})))
    gate.clock.now += 4.999
    assert await scopes() == {frozenset(Scope)}
    gate.clock.now += 0.001
    assert await scopes() == {frozenset({Scope.USER})}


async def test_a_key_is_believed_from_when_the_store_was_asked_not_from_when_it_answered() -> None:
    gate = Gate(cache_seconds=5.0, delay=2.0)
    _, text = await gate.issue()
    await gate.enter(text)
    gate.clock.now += 3.0
    await gate.enter(text)
    assert len(gate.store.asked) == 2


@pytest.mark.parametrize("by_sign_in", [False, True])
@pytest.mark.parametrize("whose", ["key", "user"])
async def test_what_was_asked_before_a_change_is_not_believed_after_it(by_sign_in: bool, whose: str) -> None:
    gate = Gate()
    key, text = await gate.issue(admin=True)
    _, sign_in = await gate.authenticator.sign_in(text)
    gate.clock.now += 5.0

    async def enter() -> Caller:
        return await (gate.authenticator.signed_in(str(sign_in)) if by_sign_in else gate.enter(text))

    async def take_rights() -> None:
        changes = KeyChanges(frozenset({"scopes"}), scopes=frozenset({Scope.USER}))
        changed = await gate.store.update_key(key.id, changes)
        assert changed is not None
        if whose == "key":
            gate.authenticator.forget(changed)
        else:
            gate.authenticator.forget_user(key.user.id)

    gate.store.meanwhile = take_rights
    assert Scope.ADMIN in (await enter()).scopes
    assert (await enter()).scopes == {Scope.USER}


async def test_so_many_keys_are_remembered_and_the_one_that_was_longest_not_asked_for_is_dropped() -> None:
    gate = Gate(cache_seconds=5.0)
    key, text = await gate.issue()
    _, other = await gate.issue()
    await gate.enter(text)
    await gate.enter(other)
    gate.clock.now += 5.0
    await gate.enter(text)

    async def answer() -> ApiKey:
        return key

    for number in range(9_999):  # as many others
        await gate.authenticator._learn(b"%d" % number, answer())
    assert len(gate.authenticator._cache) == 10_000
    gate.store.asked.clear()
    await gate.enter(text)
    assert gate.store.asked == []


async def test_a_revoked_key_is_asked_for_every_time() -> None:
    gate = Gate()
    key, text = await gate.issue()
    await gate.store.revoke_key(key.id, datetime.now(UTC))
    await gate.refusal(f"Bearer {text}")
    await gate.refusal(f"Bearer {text}")
    assert len(gate.store.asked) == 2


async def test_an_expired_key_is_refused() -> None:
    gate = Gate()
    key, text = await Gate().issue()
    await gate.store.add_key(replace(key, expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert "expired" in (await gate.refusal(f"Bearer {text}")).message


async def test_a_key_that_expires_while_it_is_believed_is_refused_at_once() -> None:
    gate = Gate()
    _, text = await gate.issue()
    await gate.enter(text)
    [(digest, (key, caller, until))] = gate.authenticator._cache.items()
    expired = replace(key, expires_at=datetime.now(UTC))  # as if its time had come since
    gate.authenticator._cache[digest] = (expired, caller, until)
    assert "expired" in (await gate.refusal(f"Bearer {text}")).message


async def test_a_key_that_was_revoked_here_is_forgotten_at_once() -> None:
    gate = Gate()
    key, text = await gate.issue()
    _, other = await gate.issue()
    await gate.enter(text)
    await gate.enter(other)
    revoked = await gate.store.revoke_key(key.id, datetime.now(UTC))
    assert revoked is not None
    gate.authenticator.forget(revoked)
    await gate.refusal(f"Bearer {text}")
    asked = len(gate.store.asked)
    await gate.enter(other)
    assert len(gate.store.asked) == asked


async def test_forgetting_a_key_that_nobody_used_is_harmless() -> None:
    gate = Gate()
    key, text = await gate.issue()
    gate.authenticator.forget(key)
    assert (await gate.enter(text)).key_id == key.id


async def test_a_believed_key_works_while_the_database_is_down() -> None:
    gate = Gate()
    _, text = await gate.issue()
    _, other = await gate.issue()
    await gate.enter(text)
    await gate.store.aclose()
    await gate.enter(text)
    with pytest.raises(StorageUnavailable):
        await gate.enter(other)


# ── uses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_uses_of_valid_keys_are_noted_until_they_are_taken() -> None:
    gate = Gate()
    key, text = await gate.issue()
    other, other_text = await gate.issue()
    revoked, revoked_text = await gate.issue()
    await gate.store.revoke_key(revoked.id, datetime.now(UTC))
    before = datetime.now(UTC)
    for each in (text, other_text, text):
        await gate.enter(each)
    await gate.refusal(f"Bearer {revoked_text}")
    await gate.refusal(f"Bearer {generate_key().text}")

    uses = gate.authenticator.take_uses()

    assert uses.keys() == {key.id, other.id}
    assert before <= uses[other.id] <= uses[key.id] <= datetime.now(UTC)
    assert gate.authenticator.take_uses() == {}
    await gate.enter(text)
    assert gate.authenticator.take_uses().keys() == {key.id}


async def test_the_keys_of_a_disabled_user_are_refused_and_told_why() -> None:
    gate = Gate()
    key, text = await gate.issue()
    await gate.enter(text)
    await gate.store.update_user(key.user.id, UserChanges(frozenset({"disabled_at"}), disabled_at=datetime.now(UTC)))
    await gate.enter(text)  # still believed
    gate.authenticator.forget_user(key.user.id)
    error = await gate.refusal(f"Bearer {text}")
    assert (error.status, error.code) == (401, "invalid_api_key")
    assert "disabled" in error.message


async def test_a_caller_has_the_models_and_the_limits_of_their_key_and_of_their_user() -> None:
    gate = Gate()
    limits, theirs = Limits(parallel_calls=1), Limits(parallel_calls=5)
    await gate.store.add_user(User("user_alice", "alice", theirs))
    _, text = await issue_key(
        gate.store, user_name="alice", pepper=None, allowed_models=frozenset({"fast"}), limits=limits
    )
    caller = await gate.enter(text)
    assert (caller.allowed_models, caller.limits, caller.user_limits) == (frozenset({"fast"}), limits, theirs)
