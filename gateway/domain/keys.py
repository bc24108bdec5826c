"""Who asks, with which key, and what they may use: keys, their users, and the limits of both."""

from dataclasses import field
from datetime import datetime
from enum import StrEnum

from gateway.values import value


class Scope(StrEnum):
    USER = "user"
    ADMIN = "admin"


@value
class Limits:
    """What may be used at most, by a key or by all keys of a user together. None: as much as they like."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Of prompt, injected history included, and completion together; the same for a day and a month."""
    parallel_calls: int | None = None
    tokens_per_day: int | None = None
    """Days and months are the calendar's, in UTC."""
    tokens_per_month: int | None = None
    dollars_per_day: float | None = None
    dollars_per_month: float | None = None


UNLIMITED = Limits()


@value
class User:
    id: str
    name: str
    limits: Limits = UNLIMITED
    disabled_at: datetime | None = None
    """Since when none of the user's keys is valid; None if they are."""


@value
class ApiKey:
    """A bearer credential of one user. `hash` is all that is kept of its secret."""

    id: str
    user: User
    name: str | None
    scopes: frozenset[Scope]
    hash: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    """To within a minute or so; None if it never was."""
    allowed_models: frozenset[str] | None = None
    """Names that it may send as `model`; None: any."""
    limits: Limits = UNLIMITED

    def is_usable(self, now: datetime) -> bool:
        is_alive = self.revoked_at is None and self.user.disabled_at is None
        return is_alive and (self.expires_at is None or now < self.expires_at)


@value
class KeyChanges:
    """What an update sets; a field that is not in `fields` keeps its value.

    `fields` may name single limits as well (`requests_per_minute`): then the others stay.
    """

    fields: frozenset[str]
    name: str | None = None
    scopes: frozenset[Scope] = frozenset({Scope.USER})
    allowed_models: frozenset[str] | None = None
    limits: Limits = UNLIMITED
    expires_at: datetime | None = None


@value
class UserChanges:
    """As KeyChanges."""

    fields: frozenset[str]
    limits: Limits = UNLIMITED
    disabled_at: datetime | None = None


@value
class Rotation:
    """The key that is to follow another one. All that is not said here it has from that."""

    id: str
    hash: bytes = field(repr=False)
    at: datetime
    old_expires_at: datetime
    """When the old one expires, unless it does so sooner: the end of the time in which both are valid."""


@value
class Caller:
    """Who is asking: the result of authenticating a request."""

    user_id: str
    user_name: str
    key_id: str
    scopes: frozenset[Scope]
    allowed_models: frozenset[str] | None = None
    limits: Limits = UNLIMITED
    """Of the key."""
    user_limits: Limits = UNLIMITED
    """Of all keys of the user together."""
