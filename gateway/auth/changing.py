"""Changing keys and users that there are: what the command line and the routes share. Each leaves an audit entry."""

from dataclasses import fields
from datetime import UTC, datetime

from gateway.auth.audit import OPERATOR, Actor, audit_entry
from gateway.auth.issuing import check_key_name, check_user_name, expiry
from gateway.auth.keys import generate_key, hash_key
from gateway.domain import ApiKey, KeyChanges, Limits, Rotation, Scope, User, UserChanges
from gateway.errors import Conflict
from gateway.ids import new_user_id
from gateway.ports import Store

OVERLAP = "24h"
"""For how long a rotated key stays valid beside its successor, unless something else is asked for."""

_LIMITS = frozenset(field.name for field in fields(Limits))


async def update_key(store: Store, key_id: str, changes: KeyChanges, *, actor: Actor = OPERATOR) -> ApiKey | None:
    """None if there is no such key. Raises InvalidRequest for a name that is not one."""
    check_key_name(changes.name)
    audit = audit_entry("key.update", key_id, actor, **_scopes(changes), **_counts(changes))
    return await store.update_key(key_id, changes, audit=audit)


async def rotate_key(
    store: Store, key_id: str, *, overlap: str, pepper: str | None, actor: Actor = OPERATOR
) -> tuple[ApiKey, ApiKey, str] | None:
    """Make a successor of a key, which expires at the end of `overlap`.

    Returns the old key, the new one and, this once, the new one's text; None if there is no such key. Raises
    InvalidRequest for what is no duration, Conflict for a key that is not valid any more.
    """
    now = datetime.now(UTC)
    end = expiry(now, overlap, param="overlap", least=0)
    new = generate_key()
    rotated = await store.rotate_key(
        key_id,
        Rotation(new.id, hash_key(new.text, pepper), now, end),
        audit=audit_entry("key.rotate", key_id, actor, new_key_id=new.id),
    )
    if rotated is not None:
        return *rotated, new.text
    if await store.find_key(key_id) is None:
        return None
    raise Conflict(
        "This key has been revoked or has expired, or its user is disabled: there is nothing to rotate. Create a key.",
        code="key_not_usable",
        param="key_id",
    )


async def create_user(store: Store, name: str, limits: Limits, *, actor: Actor = OPERATOR) -> User:
    """Raises InvalidRequest for what is not a name, Conflict for one that is taken."""
    check_user_name(name, param="name")
    new = User(new_user_id(), name, limits)
    user = await store.add_user(new, audit=audit_entry("user.create", new.id, actor))
    if user.id != new.id:
        raise Conflict(f"There is a user {name!r} already: {user.id}.", code="user_exists", param="name")
    return user


async def update_user(store: Store, user_id: str, changes: UserChanges, *, actor: Actor = OPERATOR) -> User | None:
    """Change a user's limits. None if there is no such user."""
    audit = audit_entry("user.update", user_id, actor, **_counts(changes))
    return await store.update_user(user_id, changes, audit=audit)


async def set_disabled(store: Store, user_id: str, disabled: bool, *, actor: Actor = OPERATOR) -> User | None:
    """Let none of a user's keys be valid, or all that are so by themselves. None if there is no such user."""
    now = datetime.now(UTC)
    changes = UserChanges(frozenset({"disabled_at"}), disabled_at=now if disabled else None)
    audit = audit_entry("user.disable" if disabled else "user.enable", user_id, actor)
    return await store.update_user(user_id, changes, audit=audit)


def _scopes(changes: KeyChanges) -> dict[str, bool]:
    """Whether the key may do an admin's work from now on, if that is set: who may is what the log is read for."""
    return {"admin": Scope.ADMIN in changes.scopes} if "scopes" in changes.fields else {}


def _counts(changes: KeyChanges | UserChanges) -> dict[str, int]:
    """Which other fields are set, each with how much it holds: the audit log is never told what."""
    counts = {name: _size(getattr(changes, name)) for name in sorted(changes.fields - _LIMITS - {"scopes"})}
    limits = len(changes.fields & _LIMITS)
    return {**counts, "limits": limits} if limits else counts


def _size(held: object) -> int:
    if isinstance(held, Limits):
        return sum(getattr(held, name) is not None for name in _LIMITS)
    return len(held) if isinstance(held, frozenset) else int(held is not None)
