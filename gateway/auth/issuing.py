"""Issuing and revoking keys: what the command line and `/admin/keys` share."""

import re
from datetime import UTC, datetime, timedelta

from gateway.auth.keys import generate_key, hash_key, parse_key
from gateway.domain import ApiKey, Scope, User
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
) -> tuple[ApiKey, str]:
    """Create a key, and its user where there is none of that name. Returns it and, this once, its text.

    Raises InvalidRequest for a name of a user or of a key, or a duration, that is not one.
    """
    if not _USER_NAME.fullmatch(user_name):
        raise InvalidRequest(
            "A user's name has 1 to 128 characters out of A-Z, a-z, 0-9 and . _ @ + -, "
            "and starts with a letter or a digit.",
            code="invalid_value",
            param="user",
        )
    if name is not None and not _KEY_NAME.fullmatch(name):
        raise InvalidRequest(
            "A key's name has 1 to 256 characters, none of them a control character.",
            code="invalid_value",
            param="name",
        )
    now = datetime.now(UTC)
    new = generate_key()
    key = ApiKey(
        id=new.id,
        user=User(new_user_id(), user_name),
        name=name,
        scopes=frozenset({Scope.USER, Scope.ADMIN}) if admin else frozenset({Scope.USER}),
        hash=hash_key(new.text, pepper),
        created_at=now,
        expires_at=None if expires_in is None else _expiry(now, expires_in),
    )
    return await store.add_key(key), new.text


async def revoke_key(store: Store, id_or_key: str) -> ApiKey | None:
    """Revoke by id or by the key itself. None if there is no such key."""
    return await store.revoke_key(parse_key(id_or_key) or id_or_key, datetime.now(UTC))


def parse_duration(text: str) -> timedelta:
    """`90s`, `15m`, `12h`, `30d` or `4w`. Raises InvalidRequest."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise _invalid_duration("Expected a duration such as 90s, 15m, 12h, 30d or 4w.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _expiry(now: datetime, expires_in: str) -> datetime:
    try:
        return now + parse_duration(expires_in)
    except OverflowError as exc:
        raise _invalid_duration("The key would expire after the year 9999; leave expires_in out instead.") from exc


def _invalid_duration(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param="expires_in")
