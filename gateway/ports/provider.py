"""Who answers turns: all that an adapter to an upstream does."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from gateway.domain import Deployment
from gateway.values import value
from gateway.wire.runs import Run


@value
class ProviderCall:
    """One call of `/chat/completions`, ready to send.

    `messages` is the whole window in fragments of a JSON array, to be joined by commas: each is the wire JSON of one or
    more messages, with commas between them (`wire.json.parse_array` reads them). `params` are the other fields of the
    request that passed the allow-list: never `model`, `messages`, `stream` or `stream_options`, which the adapter sets
    itself (a stream always asks for usage).
    """

    deployment: Deployment
    messages: Sequence[bytes]
    params: Mapping[str, Any]
    request_id: str


@value
class ProviderReply:
    """A whole reply: the bytes for the client, and the same parsed. `headers` are those that may be passed on."""

    body: bytes
    data: Mapping[str, Any]
    headers: Mapping[str, str]


class ProviderStream(Protocol):
    """A reply that arrives in events.

    Iterating yields all events that arrived together, as runs of one or several (`wire.runs`). It ends when the
    provider ended: whether that was in good order is for the reader to see from the finish reasons. It raises as
    `Provider.complete` does, after the runs that came first; an error event is raised as ProviderError.
    """

    headers: Mapping[str, str]

    def __aiter__(self) -> AsyncIterator[Sequence[Run]]: ...

    async def aclose(self) -> None:
        """Let the provider know that nobody listens any more, now. Closing twice is harmless."""


class Provider(Protocol):
    """Calls one kind of upstream. Never retries: retries have one owner, and it is not the adapter.

    Raises errors.ProviderError (the provider said no), ProviderBroken (not reached, or not its protocol) or
    ProviderTimeout. Cancelling a call closes its connection.
    """

    async def complete(self, call: ProviderCall) -> ProviderReply: ...

    async def stream(self, call: ProviderCall) -> ProviderStream:
        """Returns once the provider has answered with a status; raises if that was an error."""

    async def aclose(self) -> None: ...
