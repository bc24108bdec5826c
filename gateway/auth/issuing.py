"""Issuing and revoking keys: what the command line and `/admin/keys` share. Both leave an entry in the audit log."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.auth.audit import OPERATOR, Actor, audit_entry
from gateway.auth.keys import generate_key, hash_key, parse_key
from gateway.domain import UNLIMITED, ApiKey, AuditEntry, Limits, Scope, User
from gateway.errors import InvalidRequest
from gateway.ids import new_user_id
from gateway.ports import Store

_USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_KEY_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")  # it is printed to terminals
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


async def issue_key(
    store: Store,
    *,
    user_name: str,
    pepper: str | None,
    admin: bool = False,
    name: str | None = None,
    expires_in: str | None = None,
    allowed_models: frozenset[str] | None = None,
    limits: Limits = UNLIMITED,
    actor: Actor = OPERATOR,
) -> tuple[ApiKey, str]:
    """Create a key, and its user where there is none of that name. Returns it and, this once, its text.

    Raises InvalidRequest for a name of a user or of a key, or a duration, that is not one.
    """
    key, text = _new_key(user_name, pepper, admin=admin, name=name, expires_in=expires_in)
    key = replace(key, allowed_models=allowed_models, limits=limits)
    return await store.add_key(key, audit=_creation(key, actor)), text


async def issue_first_keys(store: Store, pepper: str | None) -> Mapping[str, str] | None:
    """Give a database that never had a key one of an admin's and one of a user's: their texts, by the user's name.

    None if there was a key, or if another process has just made them.
    """
    if await store.has_keys():
        return None
    new = {name: _new_key(name, pepper, admin=name == "admin", name="first start") for name in ("admin", "user")}
    added = await store.add_first_keys([(key, _creation(key)) for key, _ in new.values()])
    return {name: text for name, (_, text) in new.items()} if added else None


def _creation(key: ApiKey, actor: Actor = OPERATOR) -> AuditEntry:
    """Who is given an admin's rights is what the audit log is read for: it is told that, of all that a key may do."""
    rights = {"admin": True} if Scope.ADMIN in key.scopes else {}
    return audit_entry("key.create", key.id, actor, **rights)


def _new_key(
    user_name: str, pepper: str | None, *, admin: bool, name: str | None, expires_in: str | None = None
) -> tuple[ApiKey, str]:
    check_user_name(user_name)
    check_key_name(name)
    now = datetime.now(UTC)
    new = generate_key()
    key = ApiKey(
        id=new.id,
        user=User(new_user_id(), user_name),
        name=name,
        scopes=scopes_of(admin=admin),
        hash=hash_key(new.text, pepper),
        created_at=now,
        expires_at=None if expires_in is None else expiry(now, expires_in),
    )
    return key, new.text


def scopes_of(*, admin: bool) -> frozenset[Scope]:
    return frozenset({Scope.USER, Scope.ADMIN}) if admin else frozenset({Scope.USER})


def check_key_name(name: str | None) -> None:
    """Raises InvalidRequest for what is not the name of a key. None is: a key needs no name."""
    if name is not None and not _KEY_NAME.fullmatch(name):
        raise InvalidRequest(
            "A key's name has 1 to 256 characters, none of them a control character.",
            code="invalid_value",
            param="name",
        )


def check_user_name(name: str, *, param: str = "user") -> None:
    """Raises InvalidRequest for what is not the name of a user."""
    if not _USER_NAME.fullmatch(name):
        raise InvalidRequest(
            "A user's name has 1 to 128 characters out of A-Z, a-z, 0-9 and . _ @ + -, "
            "and starts with a letter or a digit.",
            code="invalid_value",
            param=param,
        )


async def revoke_key(store: Store, id_or_key: str, *, actor: Actor = OPERATOR) -> ApiKey | None:
    """Revoke by id or by the key itself. None if there is no such key."""
    key_id = parse_key(id_or_key) or id_or_key
    return await store.revoke_key(key_id, datetime.now(UTC), audit=audit_entry("key.revoke", key_id, actor))


def parse_duration(text: str, *, param: str = "expires_in", least: int = 1) -> timedelta:
    """`90s`, `15m`, `12h`, `30d` or `4w`; `least` of a unit. Raises InvalidRequest, about `param`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) < least:
        raise _invalid_duration("Expected a duration such as 90s, 15m, 12h, 30d or 4w.", param)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def expiry(now: datetime, duration: str, *, param: str = "expires_in", least: int = 1) -> datetime:
    """The end of a duration that begins now. Raises InvalidRequest, about `param`."""
    try:
        return now + parse_duration(duration, param=param, least=least)
    except OverflowError as exc:
        raise _invalid_duration(f"The key would expire after the year 9999; leave {param} out instead.", param) from exc


def _invalid_duration(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param=param)
