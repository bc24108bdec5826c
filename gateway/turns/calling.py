"""Steps 6 and 7 of a turn: call the provider, relay what it says, and know in the end what it said.

Whatever happens comes back as an Outcome: a provider's error, a stream cut in the middle, a client that left. Only our
own mistakes are raised.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.domain import Status
from gateway.errors import GatewayError, ProviderBroken, ProviderTimeout
from gateway.ports import Provider, ProviderCall, ProviderStream
from gateway.turns.flights import Flight, Interrupted
from gateway.turns.turn import Outcome
from gateway.wire.json import is_too_deep
from gateway.wire.reply import Fold, parse_usage, reply_finish_reason, reply_message
from gateway.wire.runs import Run
from gateway.wire.stream import Tidy


class Client(Protocol):
    """The far end of a streamed reply."""

    async def start(self, headers: Mapping[str, str]) -> None:
        """Send the head: from here on the reply is a 200 whose body is an event stream."""

    async def send(self, data: bytes) -> None:
        """Send a piece of the body. Does nothing once the client has left."""


async def call_whole(provider: Provider, call: ProviderCall, flight: Flight[Any]) -> Outcome:
    """One reply in one piece."""
    began = time.perf_counter()
    try:
        async with flight.waiting():
            reply = await provider.complete(call)
    except (GatewayError, Interrupted) as exc:
        return Outcome(Status.FAILED, _ms_since(began), error=_error(exc))
    message = reply_message(reply.data)
    if message is None or is_too_deep(reply.body, message):
        broken = ProviderBroken(f"The provider of {call.deployment.name!r} sent a reply without a usable message.")
        return Outcome(Status.FAILED, _ms_since(began), error=broken)
    return Outcome(
        Status.COMPLETE,
        _ms_since(began),
        message=message,
        finish_reason=reply_finish_reason(reply.data),
        usage=parse_usage(reply.data.get("usage")),
        body=reply.body,
        headers=reply.headers,
    )


async def call_streamed(
    provider: Provider,
    call: ProviderCall,
    flight: Flight[Any],
    client: Client,
    *,
    headers: Mapping[str, str],
    include_usage: bool,
) -> Outcome:
    """One reply in events, passed on as they come. `headers` are the gateway's own, sent with the provider's.

    The head goes with the first event, so that a provider which fails before it has said anything can be told by a
    status, or be tried again.
    """
    model, total = call.deployment.name, call.deployment.timeouts.total
    relay = Relay(client, headers, include_usage=include_usage)
    began = time.perf_counter()
    error: GatewayError = ProviderBroken(f"The provider of {model!r} ended its stream before its reply was done.")
    try:
        # Adapters bound their own waiting; this bounds a client's that has stopped reading, and holds its session.
        async with flight.waiting(), asyncio.timeout(total):
            stream = await provider.stream(call)
            try:
                await relay.run(stream)
            finally:
                await stream.aclose()
    except TimeoutError:
        error = ProviderTimeout(f"The reply of {model!r} took longer than {total:g} s in all.")
    except (GatewayError, Interrupted) as exc:
        error = _error(exc)
    return relay.outcome(None if relay.fold.is_finished else error, began)


class Relay:
    """Passes a stream's events on and folds them into the reply that will be stored."""

    def __init__(self, client: Client, headers: Mapping[str, str], *, include_usage: bool) -> None:
        self.fold = Fold()
        self.started = False
        self._client = client
        self._headers = headers
        self._include_usage = include_usage
        self._tidy = Tidy()
        self._first: float | None = None

    async def run(self, stream: ProviderStream) -> None:
        async for runs in stream:
            if data := b"".join([self._take(run) for run in runs]):
                if not self.started:
                    await self._client.start({**stream.headers, **self._headers})
                    self.started = True
                await self._client.send(data)

    def outcome(self, error: GatewayError | None, began: float) -> Outcome:
        fold = self.fold
        broken_off = Status.INCOMPLETE if fold.has_content else Status.FAILED
        status = Status.COMPLETE if error is None else broken_off
        return Outcome(
            status,
            _ms_since(began),
            message=fold.message if status is not Status.FAILED else None,
            finish_reason=fold.finish_reason,
            usage=fold.usage,
            ttft_ms=None if self._first is None else (self._first - began) * 1000,
            error=error,
            streaming=self.started,
        )

    def _take(self, run: Run) -> bytes:
        """Fold a run in. Returns what the client is sent: as a rule the very same bytes, nothing if nothing is left."""
        chunk = run.chunk
        changed = self._tidy.take_out(chunk)
        if self.fold.add(chunk) and self._first is None:
            self._first = time.perf_counter()
        if run.has_halves:
            self.fold.has_halves = True
        if not self._include_usage and chunk.pop("usage", None):  # on the finishing chunk of some providers
            changed = True
        if not changed:
            return run.framed
        return run.rewritten() if chunk.get("choices") else b""


def _error(exc: GatewayError | Interrupted) -> GatewayError:
    return exc.reason if isinstance(exc, Interrupted) else exc


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
