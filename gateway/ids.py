"""Time-ordered identifiers: ULIDs (https://github.com/ulid/spec) with a prefix that says what they name."""

import os
import re
import time
from threading import Lock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_RANDOM_BYTES = 10  # of one identifier
_STOCK = 400
_FORM = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def is_id(text: str) -> bool:
    """Whether it has the form that ids may have, ours and those that callers make. No storage chokes on such a one."""
    return _FORM.fullmatch(text) is not None


class _Randomness:
    """The operating system's random bytes, fetched for many identifiers at once.

    A turn makes five. Each call would let go of the interpreter's lock, and wait for whoever has taken it meanwhile.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._lock = Lock()  # a new one: in a forked process nobody would ever let go of the old one
        self._bytes = b""
        self._next = 0

    def take(self) -> int:
        """80 bits that nobody else was given."""
        with self._lock:
            if self._next >= len(self._bytes):
                self._bytes = os.urandom(_STOCK * _RANDOM_BYTES)
                self._next = 0
            start = self._next
            self._next = end = start + _RANDOM_BYTES
            return int.from_bytes(self._bytes[start:end])


_randomness = _Randomness()
os.register_at_fork(after_in_child=_randomness.renew)  # or two processes would give out the same


def ulid() -> str:
    """26 characters: 48 bits of milliseconds since 1970, then 80 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | _randomness.take()
    return "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])


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
