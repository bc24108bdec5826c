"""What is copied: the tables in the order of their foreign keys, and rows in a form that both databases share.

A row is a tuple in the order of its table's columns, those of the primary key first. Times are microseconds since
1970, booleans bools, JSON its text. Not copied are what a running server makes anew (turn_queue, the columns of
locks) and what it derives from messages (search_texts: every copied session is put into search_queue instead).
"""

import decimal
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]
Key = tuple[Any, ...]

_EXACT = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[str, ...]
    key_types: tuple[str, ...] = ("text",)
    """PostgreSQL's types of the first columns, which are the primary key."""
    booleans: tuple[int, ...] = ()
    """Which columns are booleans; SQLite has none."""
    jsonb: int | None = None
    """Which column is JSONB in PostgreSQL: only its meaning survives, not its bytes."""
    long: int | None = None
    """Which column may hold megabytes."""
    is_referred_to: bool = False
    """Whether rows of later tables belong to rows of this one."""

    def key(self, row: Row) -> Key:
        return row[: len(self.key_types)]

    def canonical(self, row: Row) -> Row:
        """The row as it is to be compared."""
        if (place := self.jsonb) is None:
            return row
        return (*row[:place], canonical_json(row[place]), *row[place + 1 :])


def canonical_json(text: str) -> str:
    """One text for all JSON texts of the same value, whatever the order of keys and the spelling of numbers.

    Numbers are compared as decimals, which is how JSONB keeps them: 1e2, 100 and 100.0 are the same.
    """
    value = json.loads(text, parse_int=_number, parse_float=_number)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _number(text: str) -> str:
    """A string that no string of the text can be: NUL is not storable."""
    number = _EXACT.normalize(decimal.Decimal(text))
    return f"\0{number or 0}"


def _columns(names: str) -> tuple[str, ...]:
    return tuple(names.split())


def _places(columns: Sequence[str], *names: str) -> tuple[int, ...]:
    return tuple(columns.index(name) for name in names)


_USERS = _columns("id name limits disabled_at")
_API_KEYS = _columns("id user_id name scopes hash created_at expires_at revoked_at last_used_at allowed_models limits")
_SESSIONS = _columns(
    """
    id user_id name model max_history_messages instructions metadata created_at updated_at message_count failed_count
    total_tokens last_seq exchange_seq epoch last_message_at archived_at deleted_at ttl_seconds
    """
)
_MESSAGES = _columns(
    "session_id seq id turn_id role body tokens encoding status created_at latency_ms ttft_ms model metadata"
)
_TURNS = _columns(
    """
    turn_id request_id user_id key_id session_id model provider provider_model stream status created_at prompt_tokens
    completion_tokens cached_tokens reasoning_tokens usage_estimated cost finish_reason error_status error_code
    latency_ms ttft_ms overhead_ms history_messages history_tokens history_trimmed deployment
    """
)
_AUDIT_LOG = _columns("id at action target actor_user_id actor_key_id request_id details")

USERS = Table("users", _USERS, is_referred_to=True)
API_KEYS = Table("api_keys", _API_KEYS)
SESSIONS = Table(
    "sessions",
    _SESSIONS,
    jsonb=_SESSIONS.index("metadata"),
    long=_SESSIONS.index("instructions"),
    is_referred_to=True,
)
MESSAGES = Table("messages", _MESSAGES, key_types=("text", "bigint"), long=_MESSAGES.index("body"))
TURNS = Table("turns", _TURNS, booleans=_places(_TURNS, "stream", "usage_estimated"))
AUDIT_LOG = Table("audit_log", _AUDIT_LOG)

TABLES = (USERS, API_KEYS, SESSIONS, MESSAGES, TURNS, AUDIT_LOG)
