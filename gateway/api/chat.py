"""POST /v1/chat/completions, as a plain ASGI application: it must see its client leave while the turn goes on."""

from collections.abc import Mapping
from functools import partial
from time import perf_counter

import structlog
from starlette.types import Receive, Scope, Send

from gateway.api.body import read_body
from gateway.api.context import RequestContext, context_of, header
from gateway.api.responses import raw_headers, send_json
from gateway.api.watching import Watch, Watches
from gateway.domain import MAX_HISTORY_MESSAGES
from gateway.errors import ClientDisconnected, GatewayError, InternalError, InvalidRequest
from gateway.storage.texts import has_nul
from gateway.telemetry.steps import Steps
from gateway.turns.flights import Flight
from gateway.turns.service import TurnReply, TurnReport, TurnService
from gateway.turns.turn import Inbound
from gateway.wire import sse
from gateway.wire.chat import ChatRequest, parse_chat
from gateway.wire.json import dump, parse_object

log = structlog.stdlib.get_logger("gateway")

_STREAM_HEADERS = raw_headers(
    {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",  # nginx would hold events back
    }
)


class StreamingClient:
    """The client of a streamed reply: is sent an event stream through ASGI, and nothing once it has left."""

    __slots__ = ("_send", "gone", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.gone = False

    async def start(self, headers: Mapping[str, str]) -> None:
        self.started = True
        raw = [*_STREAM_HEADERS, *raw_headers(headers)]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})

    async def send(self, data: bytes) -> None:
        if not self.gone:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes) -> None:
        if not self.gone:
            await self._send({"type": "http.response.body", "body": data, "more_body": False})


class ChatCompletions:
    def __init__(self, turns: TurnService, *, max_body_bytes: int, cancel_on_disconnect: bool, traced: bool) -> None:
        """`traced`: whether a caller's trace is of interest."""
        self._turns = turns
        self._traced = traced
        self._max_body_bytes = max_body_bytes
        self._cancel_on_disconnect = cancel_on_disconnect
        self._watches = Watches()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        data = parse_object(await read_body(scope, receive, self._max_body_bytes))
        request = parse_chat(
            data, header_session_id=header(scope, b"x-session-id"), max_history_limit=MAX_HISTORY_MESSAGES
        )
        _check_metadata(request)
        facts = context.facts
        facts["model"], facts["session"], facts["stream"] = request.model, request.session_id, request.stream
        client, report = StreamingClient(send), TurnReport()
        flight = self._turns.start(
            Inbound(request, context.caller, context.id, self._steps(scope, context)), client, report
        )
        try:
            reply = await self._land(flight, client, receive)
            if client.started:
                await client.finish(reply.body)
            elif not client.gone:
                await send_json(send, reply.body, reply.headers)
        except Exception as exc:
            if not client.started:
                raise
            await client.finish(_last_event(exc, context))
        finally:
            _note(context, report)

    def _steps(self, scope: Scope, context: RequestContext) -> Steps:
        """The turn's, up to now: the request is read."""
        traceparent = header(scope, b"traceparent") if self._traced else None
        return Steps(context.started, context.authenticated, perf_counter(), traceparent)

    async def _land(self, flight: Flight[TurnReply], client: StreamingClient, receive: Receive) -> TurnReply:
        """Wait for the turn; should the client leave first, have the turn cut short, or let it end unheard."""
        watch = Watch(receive, partial(self._leave, flight, client))
        flight.on_delay = watch.start
        self._watches.add(watch)
        try:
            # Should the server cancel this request, the turn still has to be stored.
            return await flight.landed()
        finally:
            flight.on_delay = None  # which refers to the flight: a circle would be left to the garbage collector
            self._watches.remove(watch)

    def _leave(self, flight: Flight[TurnReply], client: StreamingClient) -> None:
        client.gone = True
        if self._cancel_on_disconnect:
            flight.interrupt(ClientDisconnected())


def _check_metadata(request: ChatRequest) -> None:
    """Raises InvalidRequest for metadata that no store would take with the turn: said before the provider is paid."""
    metadata = request.params.get("metadata")
    if metadata is not None and request.session_id is not None and has_nul(dump(metadata)):
        raise InvalidRequest(
            "Invalid 'metadata': NUL characters cannot be stored.", code="invalid_value", param="metadata"
        )


def _last_event(exc: Exception, context: RequestContext) -> bytes:
    """An error event in place of [DONE], for what went wrong after the reply had begun."""
    if not isinstance(exc, GatewayError):
        log.error("unexpected error", request_id=context.id, exc_info=exc)
        exc = InternalError()
    context.facts["error"] = exc.code or exc.type
    return sse.event(dump(exc.body()))


def _note(context: RequestContext, report: TurnReport) -> None:
    """The turn's part of the log line."""
    facts = context.facts
    if (turn := report.turn) is not None:
        deployment = turn.deployment
        facts["turn"], facts["model"] = turn.id, turn.model
        facts["provider"], facts["via"] = deployment.provider, deployment.via
    if (outcome := report.outcome) is not None:
        facts["outcome"] = outcome.status
        facts["latency_ms"] = round(outcome.provider_ms, 2)
        if outcome.ttft_ms is not None:
            facts["ttft_ms"] = round(outcome.ttft_ms, 2)
    if report.error is not None:
        facts["error"] = report.error.code or report.error.type
    if (entry := report.entry) is not None:
        if entry.deployment is not None:
            facts["deployment"] = entry.deployment
        facts["prompt_tokens"] = entry.usage.prompt_tokens
        facts["completion_tokens"] = entry.usage.completion_tokens
        facts["history_messages"] = entry.history_messages
        facts["history_tokens"] = entry.history_tokens
        facts["overhead_ms"] = round(entry.overhead_ms or 0.0, 2)
