"""One turn on its way through the steps: what is known of it before the call, and how the call came out."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from gateway.domain import Caller, Deployment, Session, Status, Usage
from gateway.errors import GatewayError
from gateway.ports import ProviderCall
from gateway.telemetry.steps import Steps
from gateway.turns.cache import CachedWindow
from gateway.values import value
from gateway.wire.chat import ChatRequest


@value
class Inbound:
    """A caller's request as it came in."""

    request: ChatRequest
    caller: Caller
    request_id: str
    steps: Steps
    """When each of the turn's steps ended, so far."""


@value
class History:
    """What a session brings to the call, and what opening the turn found out about it."""

    session: Session
    known: CachedWindow
    messages: int
    tokens: int
    trimmed: int
    """Messages of the session that could be injected and were not."""
    new_tokens: Sequence[int]
    """Tokens of each of the request's messages, instructions left out."""


@value
class Turn:
    """A turn that is ready for its provider."""

    id: str
    inbound: Inbound
    model: str
    """What was asked for, by the request or else by its session."""
    deployment: Deployment
    """What is to serve it; of another model where that stands in."""
    call: ProviderCall
    created_at: datetime
    history: History | None
    """None for a stateless call."""
    prompt_estimate: int | None
    """Our own count of the prompt's tokens; None where nothing needed it yet."""

    @property
    def request(self) -> ChatRequest:
        return self.inbound.request

    @property
    def stood_in(self) -> str | None:
        """The model that serves in place of the one that was asked for; None if it is that one."""
        return None if self.deployment.name == self.model else self.deployment.name


@value
class Outcome:
    """How the provider's call ended. Durations are milliseconds."""

    status: Status
    provider_ms: float
    """Of this call alone."""
    lost_ms: float = 0.0
    """What other attempts at the same turn took, and the pauses between them."""
    message: Mapping[str, Any] | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    ttft_ms: float | None = None
    error: GatewayError | None = None
    body: bytes | None = None
    """A whole reply, as the provider sent it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those of the provider's headers that go on to the client."""
    streaming: bool = False
    """True once the client was sent the head of a streamed reply: from then on errors are events."""
