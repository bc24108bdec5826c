"""Making and revoking keys."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.audit import Actor
from gateway.auth.issuing import issue_key, parse_duration, revoke_key
from gateway.auth.keys import generate_key, hash_key, parse_key
from gateway.domain import Scope
from gateway.errors import InvalidRequest
from gateway.ids import new_request_id
from gateway.storage.memory import InMemoryStore


async def refusal(*, user_name: str = "alice", expires_in: str | None = None) -> InvalidRequest:
    store = InMemoryStore()
    with pytest.raises(InvalidRequest) as caught:
        await issue_key(store, user_name=user_name, pepper=None, expires_in=expires_in)
    assert not await store.has_keys()
    return caught.value


@pytest.mark.parametrize("pepper", [None, "pepper"])
async def test_a_key_is_stored_as_its_digest(pepper: str | None) -> None:
    store = InMemoryStore()
    key, text = await issue_key(store, user_name="alice", pepper=pepper, name="laptop")
    assert key.id == parse_key(text)
    assert key.hash == hash_key(text, pepper)
    assert (key.user.name, key.name, key.scopes) == ("alice", "laptop", frozenset({Scope.USER}))
    assert (key.expires_at, key.revoked_at) == (None, None)
    assert await store.find_key(key.id) == key


async def test_an_admin_key_has_both_scopes() -> None:
    key, _ = await issue_key(InMemoryStore(), user_name="root", pepper=None, admin=True)
    assert key.scopes == {Scope.USER, Scope.ADMIN}


async def test_keys_of_one_name_belong_to_one_user() -> None:
    store = InMemoryStore()
    first, _ = await issue_key(store, user_name="alice", pepper=None)
    second, _ = await issue_key(store, user_name="alice", pepper=None)
    other, _ = await issue_key(store, user_name="bob", pepper=None)
    assert first.user == second.user
    assert other.user.id != first.user.id


async def test_a_key_expires_after_its_duration() -> None:
    key, _ = await issue_key(InMemoryStore(), user_name="alice", pepper=None, expires_in="30d")
    assert key.expires_at == key.created_at + timedelta(days=30)


@pytest.mark.parametrize("name", ["a", "0", "alice", "alice+test@example.test", "A.b_c-d", "x" * 128])
async def test_names_of_users(name: str) -> None:
    key, _ = await issue_key(InMemoryStore(), user_name=name, pepper=None)
    assert key.user.name == name


@pytest.mark.parametrize("name", ["", "x" * 129, ".a", "-a", "a b", "a/b", "é", "a\n", "a\0"])
async def test_what_is_no_name_of_a_user_is_refused(name: str) -> None:
    error = await refusal(user_name=name)
    assert (error.param, error.code) == ("user", "invalid_value")


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        (" 4w ", timedelta(weeks=4)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "1y", "30 d", "1d1h", "1234567s", "30D"])
async def test_what_is_no_duration_is_refused(text: str) -> None:
    error = await refusal(expires_in=text)
    assert (error.param, error.code) == ("expires_in", "invalid_value")
    assert "30d" in error.message


async def test_a_key_cannot_outlive_the_calendar() -> None:
    error = await refusal(expires_in="999999w")
    assert (error.param, error.code) == ("expires_in", "invalid_value")
    assert "9999" in error.message


@given(st.text(alphabet="0123456789smhdw .-", max_size=8))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert parse_duration(text) > timedelta()


async def test_a_key_is_revoked_by_its_id_or_by_itself() -> None:
    store = InMemoryStore()
    for by_text in (False, True):
        key, text = await issue_key(store, user_name="alice", pepper=None)
        before = datetime.now(UTC)
        revoked = await revoke_key(store, text if by_text else key.id)
        assert revoked is not None
        assert revoked.id == key.id
        assert revoked.revoked_at is not None
        assert before <= revoked.revoked_at <= datetime.now(UTC)
        assert not revoked.is_usable(datetime.now(UTC))


async def test_revoking_what_is_not_there_finds_nothing() -> None:
    store = InMemoryStore()
    for unknown in ("key_0000000000", "", "nonsense", generate_key().text):
        assert await revoke_key(store, unknown) is None


async def test_making_and_revoking_are_audited() -> None:
    request_id = new_request_id()
    store, actor = InMemoryStore(), Actor("user_a", "key_a", request_id)
    made, text = await issue_key(store, user_name="alice", pepper=None, actor=actor)
    await revoke_key(store, text, actor=actor)
    await revoke_key(store, made.id, actor=actor)
    await revoke_key(store, "key_nope", actor=actor)

    entries = (await store.list_audit(limit=10, offset=0)).items

    assert [(entry.action, entry.target) for entry in entries] == [("key.revoke", made.id), ("key.create", made.id)]
    for entry in entries:
        assert (entry.actor_user_id, entry.actor_key_id, entry.request_id) == ("user_a", "key_a", request_id)
        assert entry.details == {}


async def test_nobody_is_named_for_what_the_command_line_does() -> None:
    store = InMemoryStore()
    key, _ = await issue_key(store, user_name="alice", pepper=None)
    await revoke_key(store, key.id)
    for entry in (await store.list_audit(limit=10, offset=0)).items:
        assert (entry.actor_user_id, entry.actor_key_id, entry.request_id) == (None, None, None)
