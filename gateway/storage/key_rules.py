"""What every adapter decides alike when keys and users are changed, and the JSON in which it keeps what they may use.

Pure functions.
"""

from dataclasses import fields, replace
from datetime import UTC, datetime

import orjson

from gateway.domain import UNLIMITED, ApiKey, KeyChanges, Limits, Rotation, User, UserChanges
from gateway.storage.texts import check_texts

_LIMITS = tuple([field.name for field in fields(Limits)])

_LAST = datetime.max.replace(tzinfo=UTC)


def set_limits(limits: Limits) -> dict[str, int | float]:
    """Those of the limits that are set, by name."""
    if limits == UNLIMITED:
        return {}
    return {name: limit for name in _LIMITS if (limit := getattr(limits, name)) is not None}


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def from_limits(limits: Limits) -> str | None:
    return orjson.dumps(given).decode() if (given := set_limits(limits)) else None


def to_limits(text: str | None) -> Limits:
    """Without limits that only a later gateway knows, which may be serving from the same database."""
    if text is None:
        return UNLIMITED
    return Limits(**{name: limit for name, limit in orjson.loads(text).items() if name in _LIMITS})


def from_models(models: frozenset[str] | None) -> str | None:
    return None if models is None else orjson.dumps(sorted(models)).decode()


def to_models(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(orjson.loads(text))


# ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def changed_key(key: ApiKey, changes: KeyChanges) -> ApiKey:
    """Raises InvalidRequest if a text that it is to have cannot be stored."""
    check_texts(changes.name, *(changes.allowed_models or ()))
    named = changes.fields & {"name", "scopes", "allowed_models", "expires_at"}
    new = {name: getattr(changes, name) for name in named}
    return replace(key, limits=_changed_limits(key.limits, changes), **new)


def changed_user(user: User, changes: UserChanges) -> User:
    """Disabling a second time keeps the first time."""
    disabled_at = user.disabled_at
    if "disabled_at" in changes.fields:
        disabled_at = (disabled_at or changes.disabled_at) if changes.disabled_at else None
    return replace(user, limits=_changed_limits(user.limits, changes), disabled_at=disabled_at)


def _changed_limits(limits: Limits, changes: KeyChanges | UserChanges) -> Limits:
    if "limits" in changes.fields:
        return changes.limits
    named = changes.fields.intersection(_LIMITS)
    return replace(limits, **{name: getattr(changes.limits, name) for name in named}) if named else limits


def rotated_key(key: ApiKey, rotation: Rotation) -> tuple[ApiKey, ApiKey] | None:
    """The key as it ends, and the one that comes after it; None for one that is of no use any more.

    A key that was to expire is followed by one that lasts as long, counted from its own beginning: rotating must not
    make a key for ever out of one for a month.
    """
    if not key.is_usable(rotation.at):
        return None
    end = rotation.old_expires_at
    ending = replace(key, expires_at=end if key.expires_at is None else min(end, key.expires_at))
    lifetime = None if key.expires_at is None else key.expires_at - key.created_at
    successor = replace(
        key,
        id=rotation.id,
        hash=rotation.hash,
        created_at=rotation.at,
        expires_at=None if lifetime is None else rotation.at + min(lifetime, _LAST - rotation.at),
        last_used_at=None,
    )
    return ending, successor
