"""Time-ordered identifiers: ULIDs (https://github.com/ulid/spec) with a prefix that says what they name."""

import os
import re
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_SHIFTS = range(40, -1, -10)
_FORM = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_OF_BYTES = bytes([ord(_ALPHABET[byte & 31]) for byte in range(256)])
"""What each byte stands for: 256 is a whole multiple of 32, so that no character comes more often than another."""

_RANDOM = 16  # characters of one identifier, 5 bits in each
_STOCK = 256  # identifiers


def is_id(text: str) -> bool:
    """Whether it has the form that ids may have, ours and those that callers make. No storage chokes on such a one."""
    return _FORM.fullmatch(text) is not None


_stock: list[str] = []
"""The random halves of identifiers to come, from the operating system, fetched for many at once.

A turn makes five. Each call of `os.urandom` would let go of the interpreter's lock, and wait for whoever has taken it
meanwhile. It needs no lock of its own: `pop` and `extend` of a list are one step each, for threads and for `fork`.
"""

os.register_at_fork(after_in_child=_stock.clear)  # or two processes would give out the same

_latest = (-1, "")
"""A millisecond and its spelling: read and replaced as one, so that no thread sees half of it."""


def ulid() -> str:
    """26 characters: 48 bits of milliseconds since 1970, then 80 random bits.

    Those of one millisecond are in no order.
    """
    global _latest  # noqa: PLW0603 - it only spares work
    now = time.time_ns() // 1_000_000
    then, spelling = _latest
    if now != then:
        spelling = "".join([_PAIRS[now >> shift & 1023] for shift in _SHIFTS])
        _latest = now, spelling
    try:
        return spelling + _stock.pop()
    except IndexError:
        return spelling + _restock()


def _restock() -> str:
    """Fill up, and return one that nobody else is given."""
    text = os.urandom(_STOCK * _RANDOM).translate(_OF_BYTES).decode()
    first, *others = [text[start : start + _RANDOM] for start in range(0, len(text), _RANDOM)]
    _stock.extend(others)
    return first


def new_session_id() -> str:
    return "sess_" + ulid()


def new_turn_id() -> str:
    return "turn_" + ulid()


def new_message_id() -> str:
    return "msg_" + ulid()


def new_user_id() -> str:
    return "user_" + ulid()


def new_audit_id() -> str:
    return "audit_" + ulid()


def new_request_id() -> str:
    return "req_" + ulid()
