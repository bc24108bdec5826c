"""A sign-in to the dashboard: a cookie's value that stands for a key until a moment, and is no key.

It is the key's id, the moment in Unix seconds, and an HMAC-SHA-256 over both. The secret of that is derived from what
is stored of the key, and from the pepper if there is one: so it needs no table, any process can check it, and it is
worth nothing once its key is revoked, expired or removed, or its user disabled. It opens the API, to same-origin
requests alone (api/same_origin.py); the key itself cannot be learnt from it.
"""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import field

from gateway.domain import ApiKey
from gateway.values import value

LIFETIME = 12 * 3600
"""Seconds."""

_FORM = re.compile(r"(key_[0-9a-z]{1,32})\.([0-9]{1,12})\.([A-Za-z0-9_-]{43})")
_PURPOSE = b"gateway dashboard sign-in"


@value
class SignIn:
    key_id: str
    expires: int
    """Unix seconds."""
    signature: bytes = field(repr=False)

    def __str__(self) -> str:
        """As the cookie holds it."""
        return f"{self.key_id}.{self.expires}.{urlsafe_b64encode(self.signature).rstrip(b'=').decode()}"

    def is_valid(self, key: ApiKey, pepper: str | None, now: float) -> bool:
        """Whether it was made for this key and is not over. Whether the key is usable is another question."""
        expected = _signature(key, self.expires, pepper)
        return hmac.compare_digest(self.signature, expected) and now < self.expires


def new_sign_in(key: ApiKey, pepper: str | None, now: float) -> SignIn:
    """For `LIFETIME` from `now`, which is in Unix seconds."""
    expires = int(now) + LIFETIME
    return SignIn(key.id, expires, _signature(key, expires, pepper))


def parse_sign_in(text: str) -> SignIn | None:
    """None for what has not the form of one."""
    match = _FORM.fullmatch(text)
    return None if match is None else SignIn(match[1], int(match[2]), urlsafe_b64decode(match[3] + "="))


def _signature(key: ApiKey, expires: int, pepper: str | None) -> bytes:
    secret = hmac.digest((pepper or "").encode() + key.hash, _PURPOSE, "sha256")
    return hmac.digest(secret, f"{key.id}.{expires}".encode(), "sha256")
