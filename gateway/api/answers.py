"""What the routes answer, for /openapi.json. The routes' own functions make these objects; a test holds them to it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class SessionOutput(BaseModel):
    session_id: str
    session_name: str | None
    model: str | None
    system_prompt: str | None
    max_history_messages: int
    message_count: int
    total_tokens: int
    is_active: bool
    archived_at: str | None
    ttl_seconds: int | None
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    last_message_at: str | None


class DeletedSessionOutput(BaseModel):
    object: Literal["chat.session.deleted"]
    session_id: str
    deleted: Literal[True]
    purged: bool = Field(description="whether it has been removed for good, not only hidden")


class MessageOutput(BaseModel):
    """A stored message: its wire form, and what the gateway knows about it."""

    model_config = ConfigDict(extra="allow")

    id: str
    seq: int
    turn_id: str
    role: str
    content: Any
    tokens: int
    latency_ms: float | None
    ttft_ms: float | None
    model: str | None
    status: Literal["complete", "incomplete", "failed"]
    metadata: dict[str, Any] | None
    created_at: str


class HitOutput(BaseModel):
    """A message, or a session's title, in which all words of a search were found."""

    session_id: str
    session_name: str | None
    message_id: str | None = Field(description="null for the title, as is role")
    seq: int = Field(description="of the message; 0 for the title")
    role: str | None
    snippet: str = Field(description="plain text around the first word that was found: not HTML, and not escaped")
    created_at: str


class StatsOutput(BaseModel):
    session_id: str
    message_count: int
    total_tokens: int = Field(description="of the stored messages")
    turns: int
    prompt_tokens: int = Field(description="of all turns: history counts again with each that it was sent with")
    completion_tokens: int
    cost: float | None = Field(description="US dollars, of the turns whose price is known; null if there is none")
    avg_latency_ms: float | None
    p95_latency_ms: float | None
    started_at: str
    last_message_at: str | None


class UsageTotals(BaseModel):
    turns: int
    failed_turns: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="of the prompt's, those that the provider read from its cache")
    reasoning_tokens: int = Field(description="of the completion's, those that the model spent on reasoning")
    cost: float | None = Field(description="US dollars, of the turns whose price is known; null if there is none")
    unpriced_turns: int = Field(description="how many turns cost leaves out")


class UsageRowOutput(UsageTotals):
    group: str | None = Field(
        description="id of the user, key or session, model, or day or hour in UTC; null for turns without a session"
    )
    name: str | None = Field(description="of the user or key, where it is known")


class UsageOutput(BaseModel):
    object: Literal["list"]
    data: list[UsageRowOutput]
    has_more: Literal[False]
    group_by: str
    since: str = Field(alias="from")
    until: str = Field(alias="to")
    totals: UsageTotals


class ActivityTotals(BaseModel):
    """What some turns came to. Latency and time to first token (ttft) are of those that the provider answered."""

    turns: int
    failed_turns: int
    incomplete_turns: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = Field(description="US dollars, of the turns whose price is known; null if there is none")
    latency_p50_ms: float | None = Field(description="by nearest rank, as all of them; null if there is no such turn")
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    ttft_p99_ms: float | None
    overhead_p50_ms: float | None
    overhead_p95_ms: float | None
    overhead_p99_ms: float | None


class ActivityPointOutput(ActivityTotals):
    start: str = Field(description="a whole step; the first one may begin before from")


class ErrorCountOutput(BaseModel):
    code: str | None
    status: int
    turns: int


class ActivityOutput(BaseModel):
    object: Literal["list"]
    data: list[ActivityPointOutput] = Field(description="oldest first, also where there were no turns")
    has_more: Literal[False]
    step: str
    since: str = Field(alias="from")
    until: str = Field(alias="to")
    totals: ActivityTotals
    errors: list[ErrorCountOutput] = Field(description="the most frequent first, 50 at most")


class TurnUserOutput(BaseModel):
    id: str
    name: str | None = Field(description="null if the user was erased")


class TurnOutput(BaseModel):
    """One row of the ledger: one provider call."""

    turn_id: str
    request_id: str | None = Field(description="null if the user was erased, as is session_id")
    user: TurnUserOutput
    key_id: str
    session_id: str | None = Field(description="null for a stateless call")
    model: str = Field(description="what the client asked for")
    provider: str
    provider_model: str = Field(description="what the provider was asked for")
    deployment: str | None = Field(description="which of the model's deployments served, where it has several")
    stream: bool
    status: Literal["complete", "incomplete", "failed"]
    created_at: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    usage_estimated: bool = Field(description="whether the provider reported no tokens, and the counts are estimates")
    cost: float | None = Field(description="US dollars; null if the model's prices are not known")
    finish_reason: str | None
    error_status: int | None
    error_code: str | None
    latency_ms: float | None
    ttft_ms: float | None
    overhead_ms: float | None
    history_messages: int
    history_tokens: int
    history_trimmed: int


class InFlightOutput(BaseModel):
    requests: int = Field(description="HTTP requests that are being answered, this one left out")


class LiveOutput(BaseModel):
    """What is running now, on the host that answers: replicas on others know nothing of it."""

    object: Literal["live"]
    in_flight: InFlightOutput
    workers: int = Field(description="processes that serve")


class KeyOutput(BaseModel):
    id: str
    user: str
    user_id: str
    name: str | None
    status: Literal["active", "expired", "revoked", "disabled"] = Field(description="disabled: its user is")
    scopes: list[str]
    allowed_models: list[str] | None = Field(description="null: any")
    limits: dict[str, int | float] = Field(description="those that are set, of the key alone")
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None = Field(description="to within a minute or so")


class NewKeyOutput(KeyOutput):
    key: str = Field(description="shown this once")


class UserOutput(BaseModel):
    id: str
    name: str
    status: Literal["active", "disabled"]
    limits: dict[str, int | float] = Field(description="those that are set, of all keys of the user together")
    disabled_at: str | None


class ErasedUserOutput(BaseModel):
    object: Literal["user.erased"]
    id: str
    erased: Literal[True]


class ActorOutput(BaseModel):
    user_id: str
    key_id: str | None


class AuditOutput(BaseModel):
    id: str
    at: str
    action: str = Field(description="such as key.create, session.purge, user.erase")
    target: str | None = Field(description="id of the key, session or user; null where it was many")
    actor: ActorOutput | None = Field(description="null for the command line and for the gateway's own jobs")
    request_id: str | None
    details: dict[str, Any] = Field(description="ids and counts")


class ModelOutput(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorOutput(BaseModel):
    error: ErrorDetail
