"""What turns cost: of one call the ledger's row, of many their sums."""

from datetime import datetime
from enum import StrEnum

from gateway.domain.messages import Status
from gateway.values import value

MAX_USAGE_ROWS = 10_000
"""The most rows that a report of usage may have."""


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
