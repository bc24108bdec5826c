"""Where calls go: a model entry made concrete, its prices, and which adapter serves it."""

from dataclasses import field
from enum import StrEnum

from gateway.domain.usage import Usage
from gateway.values import value


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
