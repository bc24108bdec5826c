"""The things that the gateway is about, as frozen values. Words are those of docs/architecture.md.

Times are aware datetimes in UTC; durations are milliseconds as floats; money is US dollars; token counts are ints.
A message's `body` is its wire form as JSON bytes: it is stored and sent on as it is, and parsed only where it must be.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
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

MAX_USAGE_ROWS = 10_000
"""The most rows that a report of usage may have."""


class Scope(StrEnum):
    USER = "user"
    ADMIN = "admin"


class Status(StrEnum):
    """How a turn, and with it each of its messages, ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"  # the client or the provider left in the middle of the reply
    FAILED = "failed"  # no reply at all: kept for the record, never injected


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── what is remembered ───────────────────────────────────────────────────────────────────────────────────────────


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


# ── what it cost ─────────────────────────────────────────────────────────────────────────────────────────────────


@value
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's tokens, those that the provider read from its cache."""
    reasoning_tokens: int = 0
    """Of the completion's tokens, those that the model spent on reasoning."""
    estimated: bool = False
    """True where the provider reported nothing and the counts are our own."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@value
class LedgerEntry:
    """One provider call."""

    turn_id: str
    request_id: str
    user_id: str
    key_id: str
    session_id: str | None
    model: str
    """What the client asked for."""
    provider: str
    provider_model: str
    """What the provider was asked for."""
    stream: bool
    status: Status
    created_at: datetime
    usage: Usage = Usage()
    cost: float | None = None
    """None where the model's prices are not known."""
    finish_reason: str | None = None
    error_status: int | None = None
    error_code: str | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    overhead_ms: float | None = None
    """The gateway's own time, up to the moment that the turn was closed."""
    history_messages: int = 0
    history_tokens: int = 0
    history_trimmed: int = 0
    deployment: str | None = None
    """Which of the model's deployments served, where it has several or another model stood in for it."""


@value
class SessionStats:
    """What a session's turns came to. Latencies are the provider's, of turns that it answered."""

    message_count: int
    total_tokens: int
    """Of the stored messages. Prompt tokens count history again with every turn that it was sent with."""
    turns: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """US dollars, of the turns whose price is known; None if there is none."""
    avg_latency_ms: float | None
    p95_latency_ms: float | None
    """By nearest rank: the smallest latency that 95 % of the turns did not exceed."""
    started_at: datetime
    last_message_at: datetime | None


class GroupBy(StrEnum):
    """What the turns of one row of usage have in common."""

    USER = "user"
    KEY = "key"
    MODEL = "model"
    DAY = "day"
    HOUR = "hour"
    SESSION = "session"


@value
class UsageSums:
    """What some turns came to."""

    turns: int
    failed_turns: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: float | None
    """US dollars, of the turns whose price is known; None if there is none."""
    unpriced_turns: int
    """How many turns `cost` leaves out."""


@value
class UsageRow:
    """What the turns of one group came to."""

    group: str | None
    """Id of the user, key or session, the model that was asked for, the day (2026-03-01) or hour
    (2026-03-01T12:00:00Z) in UTC. None for turns without a session."""
    name: str | None
    """Of the user or key; None if it has none, or is gone, and for every other kind of group."""
    sums: UsageSums


# ── what was done ────────────────────────────────────────────────────────────────────────────────────────────────


@value
class AuditEntry:
    """One operation on keys or stored data. Names ids only: nothing in it need ever be erased."""

    id: str
    at: datetime
    action: str
    """Such as `key.create`, `session.purge`, `user.erase`."""
    target: str | None
    """Id of the key, session or user that it was done to; None where it was many."""
    actor_user_id: str | None = None
    """None where it was not done with a key: at the command line, or by a job."""
    actor_key_id: str | None = None
    request_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


# ── where it goes ────────────────────────────────────────────────────────────────────────────────────────────────


@value
class Prices:
    """US dollars a token."""

    input: float
    output: float
    cached_input: float | None = None

    def cost(self, usage: Usage) -> float:
        """Reasoning tokens are part of the completion's; cached ones are part of the prompt's, at their own price."""
        cached_price = self.input if self.cached_input is None else self.cached_input
        fresh = usage.prompt_tokens - usage.cached_tokens
        return fresh * self.input + usage.cached_tokens * cached_price + usage.completion_tokens * self.output


class Via(StrEnum):
    """Which adapter serves a deployment."""

    DIRECT = "direct"
    LITELLM = "litellm"
    ECHO = "echo"


@value
class Timeouts:
    """Seconds. `read` is the longest silence, between two events of a stream too; `total` bounds the whole call."""

    connect: float = 10.0
    read: float = 300.0
    total: float = 600.0


@value
class Deployment:
    """A model entry made concrete: everything about it that is the server's to say and never the client's."""

    name: str
    """What clients send as `model`."""
    via: Via
    provider: str
    """litellm's name of the provider: `openai`, `anthropic`, …"""
    model: str
    """What the adapter is to ask for: litellm's id for litellm, the upstream's own id on the direct path."""
    context_window: int
    """Tokens. May be assumed, see `window_assumed`."""
    reply_reserve: int
    """Tokens kept free for the reply where the request names no limit."""
    encoding: str
    """tiktoken's name of the encoding that messages for this model are counted with."""
    exact: bool
    """False where the encoding is an estimate, to be corrected by what the provider reports."""
    window_assumed: bool = False
    """True where nobody knows the context window: history is fitted to it, but no request is refused by it."""
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    prices: Prices | None = None
    allow_params: frozenset[str] = frozenset()
    timeouts: Timeouts = Timeouts()
    label: str | None = None
    """Its own name, where the model has several deployments."""
    weight: float = 1.0
    """Its share of the model's calls, relative to the other deployments' weights."""

    @property
    def id(self) -> str:
        """Tells it from every other deployment, of other models too."""
        return self.name if self.label is None else f"{self.name}/{self.label}"
