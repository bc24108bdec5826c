"""Traces for an OpenTelemetry collector: a span a turn, and beneath it one for each of its phases.

Names and attributes are those of OpenTelemetry's conventions for generative AI. No content is told, nor who asked, nor
in which session.

Invariant: no turn waits for any of this. Spans are made of turns that have been stored, on a thread, a few times a
second; the SDK's own thread sends them. What cannot be sent in time is dropped.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AnyValue, AttributeValue

from gateway import __version__
from gateway.domain import LedgerEntry, Status
from gateway.settings import TelemetrySettings
from gateway.telemetry.steps import NotedTurn, Steps

_SECONDS_TO_SEND = 5.0
"""For one batch, with all that is tried again."""

_SECONDS_TO_FLUSH = 3.0
"""For all that waits when the process ends."""

_MOST_SPANS = 16_384
"""That wait to be sent: of two thousand turns."""

_MOST_LOTS = 8
"""Of turns that wait to become spans: two seconds of a process that has no time for it."""

_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""litellm's names that the conventions have others for."""


class OtlpTraces:
    """The traces of this process, which is not to be forked afterwards."""

    def __init__(self, settings: TelemetrySettings, endpoint: str) -> None:
        about: dict[str, AnyValue] = {
            "service.name": settings.service_name,
            "service.version": __version__,
            "process.pid": os.getpid(),
        }
        # Never the global provider: libraries that look for one, litellm among them, would begin to tell of themselves.
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample)),
            resource=Resource.create(about),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_SECONDS_TO_SEND)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_MOST_SPANS))
        self._tracer = self._provider.get_tracer("gateway", __version__)
        self._making: set[asyncio.Future[None]] = set()

    def take(self, turns: Sequence[NotedTurn]) -> None:
        """See traces.Traces."""
        if len(self._making) < _MOST_LOTS:
            making = asyncio.get_running_loop().run_in_executor(None, self._make, turns)
            self._making.add(making)
            making.add_done_callback(self._making.discard)

    async def aclose(self) -> None:
        """See traces.Traces."""
        await asyncio.gather(*self._making)
        # The SDK's own bound is half a minute, and more for a collector that accepts and does not answer.
        flush = Thread(target=self._provider.shutdown, daemon=True)
        flush.start()
        await asyncio.to_thread(flush.join, _SECONDS_TO_FLUSH)

    def _make(self, turns: Sequence[NotedTurn]) -> None:
        offset = time.time_ns() - time.perf_counter_ns()
        for entry, steps, _ in turns:
            self._make_turn(entry, steps, offset)

    def _make_turn(self, entry: LedgerEntry, steps: Steps, offset: int) -> None:
        """`offset`: nanoseconds from the stamps' clock to the time of day."""
        turn = self._tracer.start_span(
            f"chat {entry.model}",
            context=_callers(steps.traceparent),
            kind=SpanKind.SERVER,
            attributes=_attributes(entry),
            start_time=offset + _ns(steps.started),
        )
        if not turn.is_recording():
            return
        beneath = set_span_in_context(turn, Context())
        for phase, since, until in steps.phases():
            kind = SpanKind.CLIENT if phase == "provider" else SpanKind.INTERNAL
            span = self._tracer.start_span(phase, context=beneath, kind=kind, start_time=offset + _ns(since))
            span.end(offset + _ns(until))
        if entry.status is not Status.COMPLETE:
            turn.set_status(StatusCode.ERROR)
        turn.end(offset + _ns(steps.close))


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _callers(traceparent: str | None) -> Context:
    """The caller's trace; a new one without a `traceparent` that is well-formed."""
    if traceparent is None:
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def _attributes(entry: LedgerEntry) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(entry.provider, entry.provider),
        "gen_ai.request.model": entry.model,
        "gen_ai.request.stream": entry.stream,
        "gen_ai.usage.input_tokens": entry.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": entry.usage.completion_tokens,
        "gateway.turn_id": entry.turn_id,
        "gateway.status": str(entry.status),
        "gateway.history_messages": entry.history_messages,
    }
    if entry.error_status is not None:
        attributes["error.type"] = entry.error_code or str(entry.error_status)
    return attributes
