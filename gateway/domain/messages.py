"""Messages of sessions: as they come, as a window needs them, as they are shown, and as they are found.

A message's `body` is its wire form as JSON bytes: it is stored and sent on as it is, and parsed only where it must be.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway.values import value


class Status(StrEnum):
    """How a turn, and with it each of its messages, ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"  # the client or the provider left in the middle of the reply
    FAILED = "failed"  # no reply at all: kept for the record, never injected


@value
class HistoryMessage:
    """A stored message as a window needs it."""

    seq: int
    role: str
    body: bytes
    tokens: int
    encoding: str
    status: Status = Status.COMPLETE


@value
class NewMessage:
    """A message about to be stored; the store gives it its `seq`."""

    id: str
    role: str
    body: bytes
    tokens: int
    encoding: str
    """Name of the tiktoken encoding that `tokens` was counted with."""
    latency_ms: float | None = None
    ttft_ms: float | None = None
    model: str | None = None
    metadata: Mapping[str, Any] | None = None


@value
class StoredMessage:
    """A message as the sessions API shows it."""

    id: str
    seq: int
    turn_id: str
    role: str
    body: bytes
    tokens: int
    status: Status
    created_at: datetime
    latency_ms: float | None = None
    ttft_ms: float | None = None
    model: str | None = None
    metadata: Mapping[str, Any] | None = None


@value
class SearchHit:
    """A message, or a session's title, in which every word of a query stands."""

    session_id: str
    session_name: str | None
    seq: int
    """Of the message; 0 for the title."""
    message_id: str | None
    """None for the title, as is `role`."""
    role: str | None
    snippet: str
    """Plain text around the first word that was found, cut at words; `…` stands for what was left out."""
    created_at: datetime
    """Of the message, or of the session."""
