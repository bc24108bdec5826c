"""Stored conversations, and what changes them."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from gateway.values import value

MAX_HISTORY_MESSAGES = 1000
"""The most history messages that a session or a request may ask for."""

MAX_METADATA_BYTES = 16 * 1024
"""Of a session's metadata, as JSON."""

IMPORT_MARK = "gateway.import"
"""In a session's metadata: it is being imported, or was when that broke off. Only imports set it."""

MIN_TTL_SECONDS, MAX_TTL_SECONDS = 60, 3650 * 86_400
"""Of a session: a minute to ten years."""


@value
class Session:
    """A stored conversation. Counters are kept by the store as turns are closed, never computed by reading."""

    id: str
    user_id: str
    name: str | None
    model: str | None
    max_history_messages: int
    instructions: tuple[bytes, ...]
    """The pinned system and developer messages, each as wire JSON."""
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    message_count: int = 0
    failed_count: int = 0
    """Of the messages, those of failed turns, which are never injected."""
    total_tokens: int = 0
    last_seq: int = 0
    """The `seq` of the newest message; 0 in an empty session."""
    exchange_seq: int = 0
    """The `seq` of the newest user message that can be injected, where the newest exchange starts; 0 if none."""
    epoch: int = 0
    """Raised whenever stored messages change otherwise than by appending."""
    last_message_at: datetime | None = None
    archived_at: datetime | None = None
    """Since when it is left out of lists and takes no turns; None if it is not archived."""
    deleted_at: datetime | None = None
    """Since when it is hidden from everything but purging."""
    ttl_seconds: int | None = None
    """It is purged so long after its last message, or after its creation while it has none; None: never."""

    @property
    def is_active(self) -> bool:
        return self.deleted_at is None


@value
class SessionChanges:
    """What an update sets; a field that is not in `fields` keeps its value."""

    fields: frozenset[str]
    name: str | None = None
    model: str | None = None
    max_history_messages: int = 0
    instructions: tuple[bytes, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    ttl_seconds: int | None = None
    archived_at: datetime | None = None
