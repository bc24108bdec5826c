"""Time-ordered identifiers: ULIDs (https://github.com/ulid/spec) with a prefix that says what they name."""

import os
import re
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_FORM = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def is_id(text: str) -> bool:
    """Whether it has the form that ids may have, ours and those that callers make. No storage chokes on such a one."""
    return _FORM.fullmatch(text) is not None


def ulid() -> str:
    """26 characters: 48 bits of milliseconds since 1970, then 80 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


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
