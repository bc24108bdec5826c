"""What every store promises of the audit log: what was done is in it and stays, and what was not done is not."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.domain import AuditEntry, Session, SessionChanges
from gateway.ports import Cleaning, Store
from gateway.storage.errors import ConstraintViolated
from tests.contract.store.values import ALICE, BOB, actions, at, current, make_audit, make_key

Operation = Callable[[Store, str, AuditEntry], Coroutine[Any, Any, Any]]
RENAME = SessionChanges(frozenset({"name"}), name="x")

OF_SESSIONS: dict[str, Operation] = {
    "update_session": lambda store, user, entry: store.update_session(user, "sess_1", RENAME, at(1), audit=entry),
    "delete_session": lambda store, user, entry: store.delete_session(user, "sess_1", at(1), audit=entry),
    "purge_session": lambda store, user, entry: store.purge_session(user, "sess_1", audit=entry),
}

ALL: dict[str, Operation] = {
    **OF_SESSIONS,
    "add_key": lambda store, _, entry: store.add_key(make_key("key_new"), audit=entry),
    "revoke_key": lambda store, _, entry: store.revoke_key("key_1", at(1), audit=entry),
    "erase_user": lambda store, user, entry: store.erase_user(user, audit=entry),
    "add_audit": lambda store, _, entry: store.add_audit(entry),
}

FULL = AuditEntry(
    id="audit_1",
    at=at(0.000001),
    action="key.create",
    target="key_1",
    actor_user_id=ALICE.id,
    actor_key_id="key_1",
    request_id="req_1",
    details={"scopes": ["user"], "n": 1.5, "text": 'é " \\ 👩‍👩‍👧‍👦', "none": None},
)


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("operation", ALL)
async def test_what_was_done_is_written_once_with_every_field(store: Store, operation: str) -> None:
    await ALL[operation](store, ALICE.id, FULL)
    assert (await store.list_audit(limit=10, offset=0)).items == [FULL]


async def test_an_entry_needs_no_actor_and_no_target(store: Store) -> None:
    bare = AuditEntry("audit_1", at(1), "retention.run", None)
    await store.add_audit(bare)
    assert (await store.list_audit(limit=10, offset=0)).items == [bare]


@pytest.mark.parametrize("operation", OF_SESSIONS)
async def test_what_found_nothing_to_do_is_not_written(store: Store, session: Session, operation: str) -> None:
    call = OF_SESSIONS[operation]
    await call(store, BOB.id, FULL)
    await call(store, "user_unknown", FULL)
    await store.purge_session(ALICE.id, session.id)
    await call(store, ALICE.id, FULL)
    assert await actions(store) == []


async def test_a_key_that_is_not_there_or_revoked_already_is_not_written(store: Store) -> None:
    await store.revoke_key("key_unknown", at(1), audit=make_audit(action="key.revoke"))
    assert await actions(store) == []
    await store.revoke_key("key_1", at(1), audit=make_audit(action="key.revoke"))
    await store.revoke_key("key_1", at(2), audit=make_audit(action="key.revoke"))
    assert await actions(store) == ["key.revoke"]


async def test_a_key_that_was_refused_is_not_written(store: Store) -> None:
    with pytest.raises(ConstraintViolated):
        await store.add_key(make_key("key_1"), audit=make_audit())
    assert await actions(store) == []


@pytest.mark.parametrize("operation", ALL)
async def test_what_cannot_be_written_down_is_not_done(store: Store, session: Session, operation: str) -> None:
    """An id used twice stands for whatever can go wrong: nothing may happen that the log does not have."""
    first = make_audit("audit_1", action="first")
    await store.add_audit(first)
    with pytest.raises(ConstraintViolated):
        await ALL[operation](store, ALICE.id, FULL)
    assert (await store.list_audit(limit=10, offset=0)).items == [first]
    assert await current(store, session) == session
    assert await store.list_keys() == [make_key("key_1", ALICE), make_key("key_2", BOB)]


async def test_the_log_is_listed_newest_first_and_by_id_within_an_instant(store: Store) -> None:
    for audit_id, seconds in (("audit_a", 1), ("audit_c", 0), ("audit_b", 1), ("audit_d", 2)):
        await store.add_audit(make_audit(audit_id, at=at(seconds)))
    first = await store.list_audit(limit=3, offset=0)
    assert ([entry.id for entry in first.items], first.has_more) == (["audit_d", "audit_b", "audit_a"], True)
    rest = await store.list_audit(limit=3, offset=3)
    assert ([entry.id for entry in rest.items], rest.has_more) == (["audit_c"], False)
    exact = await store.list_audit(limit=4, offset=0)
    assert (len(exact.items), exact.has_more) == (4, False)


async def test_nothing_that_a_store_can_do_takes_an_entry_away(store: Store, session: Session) -> None:
    await store.add_audit(FULL)
    await store.purge_session(ALICE.id, session.id)
    await store.clean(Cleaning(at(10**9), at(10**9), at(10**9), at(10**9)))
    await store.erase_user(ALICE.id)
    assert (await store.list_audit(limit=10, offset=0)).items == [FULL]
