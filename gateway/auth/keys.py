"""API keys: `sk-gw-` + public id (10) + secret (26, 130 bits) + checksum (6), all in lower-case Crockford base32.

Only a digest of a key is ever stored: its entropy makes a slow hash pointless, a pepper guards a stolen database.
The checksum lets a mistyped or cut key be refused without asking the database.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field

_PREFIX = "sk-gw-"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID, _SECRET, _CHECKSUM = 10, 26, 6
_LENGTH = len(_PREFIX) + _ID + _SECRET + _CHECKSUM
_PAST_ID = re.compile(f"({_PREFIX}[0-9a-z]{{{_ID}}})[0-9a-z]+")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key in the clear: shown once, then forgotten."""

    id: str
    text: str = field(repr=False)


def generate_key() -> NewKey:
    payload = "".join(secrets.choice(_ALPHABET) for _ in range(_ID + _SECRET))
    return NewKey(id=_key_id(payload), text=_PREFIX + payload + _checksum(payload))


def parse_key(text: str) -> str | None:
    """The id of a well-formed key, None for anything else."""
    if len(text) != _LENGTH or not text.startswith(_PREFIX) or not text.isascii():
        return None
    payload, checksum = text[len(_PREFIX) : -_CHECKSUM], text[-_CHECKSUM:]
    return _key_id(payload) if _checksum(payload) == checksum else None


def mask_keys(text: str) -> str:
    """The text with every key in it cut down to its public part: `DELETE /admin/keys/…` takes whole keys, a log not."""
    return _PAST_ID.sub(r"\1…", text) if _PREFIX in text else text


def hash_key(text: str, pepper: str | None) -> bytes:
    """32 bytes: SHA-256 of the key, or its HMAC-SHA-256 under the pepper."""
    if pepper:
        return hmac.digest(pepper.encode(), text.encode(), "sha256")
    return hashlib.sha256(text.encode()).digest()


def _key_id(payload: str) -> str:
    return "key_" + payload[:_ID]


def _checksum(payload: str) -> str:
    """CRC-32 of the payload as 6 characters (the upper 30 bits of 32)."""
    crc = zlib.crc32(payload.encode()) >> 2
    return "".join(_ALPHABET[crc >> shift & 31] for shift in range(25, -1, -5))
