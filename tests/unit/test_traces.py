"""What a collector is told of turns, and that nobody waits for it, nor loads it for nothing."""

import subprocess
import sys
import time
from typing import Any

import pytest

from gateway.domain import Status, Usage
from gateway.settings import TelemetrySettings
from gateway.telemetry.otlp import OtlpTraces
from gateway.telemetry.steps import PHASES, NotedTurn, Steps
from tests.contract.store.values import make_entry, make_session
from tests.stubs.collector import Collector, Told

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def make_noted(traceparent: str | None = None, *, in_session: bool = True, **fields: Any) -> NotedTurn:
    """A turn of which each phase took a millisecond more than the one before it."""
    steps = Steps(now := time.perf_counter(), now + 0.001, now + 0.003, traceparent)
    if in_session:
        steps.claim, steps.open = now + 0.006, now + 0.010
    steps.window, steps.provider, steps.close = now + 0.015, now + 0.021, now + 0.028
    return make_entry(make_session() if in_session else None, **fields), steps, "ada"


async def told(*turns: NotedTurn, **settings: Any) -> Collector:
    with Collector() as collector:
        traces = OtlpTraces(TelemetrySettings(**settings), collector.endpoint)
        traces.take(turns)
        await traces.aclose()
    return collector


async def test_a_turn_is_a_span_with_a_child_a_phase() -> None:
    before = time.time_ns()
    collector = await told(make_noted(), service_name="memory")
    [root] = collector.roots()
    children = collector.children(root)
    assert collector.paths == ["/v1/traces"]
    assert (root.name, root.kind, root.parent_id, root.is_error) == ("chat fast", "SERVER", "", False)
    assert [child.name for child in children] == list(PHASES)
    assert {child.name for child in children if child.kind == "CLIENT"} == {"provider"}
    assert [round((child.end - child.start) / 1e6) for child in children] == [1, 2, 3, 4, 5, 6, 7]
    assert [child.start for child in children] == [root.start, *[child.end for child in children[:-1]]]
    assert children[-1].end == root.end
    assert before <= root.start <= time.time_ns()
    assert root.resource["service.name"] == "memory"


async def test_a_stateless_call_claims_and_opens_nothing() -> None:
    collector = await told(make_noted(in_session=False))
    [root] = collector.roots()
    names = [child.name for child in collector.children(root)]
    assert names == [phase for phase in PHASES if phase not in {"claim", "open"}]


async def test_attributes_are_those_of_the_conventions_and_tell_nobody(turn: NotedTurn) -> None:
    [root] = (await told(turn)).roots()
    assert root.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.vertex_ai",
        "gen_ai.request.model": "fast",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gateway.turn_id": turn[0].turn_id,
        "gateway.status": "complete",
        "gateway.history_messages": 4,
    }


@pytest.fixture
def turn() -> NotedTurn:
    usage = Usage(prompt_tokens=7, completion_tokens=3)
    return make_noted(provider="vertex_ai", stream=True, usage=usage, history_messages=4)


@pytest.mark.parametrize(
    ("fields", "error"), [({"error_code": "rate_limit_exceeded"}, "rate_limit_exceeded"), ({}, "502")]
)
async def test_a_failed_turn_is_an_error_of_its_kind(fields: dict[str, Any], error: str) -> None:
    [root] = (await told(make_noted(status=Status.FAILED, error_status=502, **fields))).roots()
    assert root.is_error
    assert root.attributes["error.type"] == error


async def test_a_callers_trace_goes_on() -> None:
    [root] = (await told(make_noted(f"00-{TRACE}-{PARENT}-01"))).roots()
    assert (root.trace_id, root.parent_id) == (TRACE, PARENT)


@pytest.mark.parametrize("traceparent", ["", "garbage", f"00-{'0' * 32}-{PARENT}-01"])
async def test_a_traceparent_that_is_none_begins_a_trace(traceparent: str) -> None:
    [root] = (await told(make_noted(traceparent))).roots()
    assert root.trace_id != "0" * 32
    assert root.parent_id == ""


async def test_who_calls_decides_whether_there_is_a_trace_and_else_the_setting() -> None:
    sampled, unsampled = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
    assert [root.parent_id for root in await roots(sampled, unsampled, None, sample=0)] == [PARENT]
    assert [root.parent_id for root in await roots(sampled, unsampled, None, sample=1)] == [PARENT, ""]


async def roots(*traceparents: str | None, sample: float) -> list[Told]:
    collector = await told(*[make_noted(traceparent) for traceparent in traceparents], sample=sample)
    return collector.roots()


def in_a_new_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - ours


def test_without_a_collector_opentelemetry_is_not_imported() -> None:
    result = in_a_new_process(
        "import sys\n"
        "from gateway.app import create_app\n"
        "from gateway.settings import parse_settings\n"
        "create_app(parse_settings({'storage': {'url': 'memory:'}}))\n"
        "sys.exit('opentelemetry' in sys.modules)"
    )
    assert result.returncode == 0, result.stderr


def test_a_collector_without_opentelemetry_installed_is_a_mistake_in_the_settings() -> None:
    result = in_a_new_process(
        "import sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"  # as if it were not there
        "from gateway.cli.servable import servable_models\n"
        "from gateway.settings import parse_settings\n"
        "servable_models(parse_settings({'telemetry': {'otlp_endpoint': 'http://127.0.0.1:4318'}}))"
    )
    assert result.returncode == 2
    assert "pip install 'llm-history-gateway[otlp]'" in result.stderr.replace("\n", " ")


def test_traces_are_no_ones_but_the_gateways() -> None:
    """Were they the global ones, every library that looks for some would tell of what it does."""
    result = in_a_new_process(
        "import sys\n"
        "from opentelemetry import trace\n"
        "from gateway.settings import TelemetrySettings\n"
        "from gateway.telemetry.otlp import OtlpTraces\n"
        "OtlpTraces(TelemetrySettings(), 'http://127.0.0.1:9')\n"
        "sys.exit(not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider))"
    )
    assert result.returncode == 0, result.stderr
