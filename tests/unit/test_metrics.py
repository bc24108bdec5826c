"""What is noted of turns and requests, and what Prometheus is told of it."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.domain import Status, Usage
from gateway.telemetry.metrics import Metrics
from tests.contract.store.values import make_entry, make_session

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def told(metrics: Metrics) -> Samples:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


@pytest.fixture
async def metrics() -> Metrics:
    return Metrics()


async def test_turns_are_counted_by_model_and_outcome(metrics: Metrics) -> None:
    for status in (Status.COMPLETE, Status.COMPLETE, Status.FAILED):
        metrics.turn(make_entry(status=status))
    metrics.turn(make_entry(model="other", provider="anthropic", stream=True))
    samples = told(metrics)
    of = {"model": "fast", "provider": "openai", "stream": "false"}
    assert value(samples, "gateway_turns_total", **of, status="complete") == 2
    assert value(samples, "gateway_turns_total", **of, status="failed") == 1
    assert (
        value(samples, "gateway_turns_total", model="other", provider="anthropic", stream="true", status="complete")
        == 1
    )


async def test_tokens_and_money_are_added_up(metrics: Metrics) -> None:
    usage = Usage(prompt_tokens=7, completion_tokens=3, cached_tokens=2, reasoning_tokens=1)
    metrics.turn(make_entry(usage=usage, cost=0.25))
    metrics.turn(make_entry(usage=usage, cost=0.5))
    metrics.turn(make_entry(usage=usage, cost=None))
    samples = told(metrics)
    kinds = {"prompt": 21, "completion": 9, "cached": 6, "reasoning": 3}
    of = {"model": "fast", "provider": "openai"}
    assert {kind: value(samples, "gateway_turn_tokens_total", **of, kind=kind) for kind in kinds} == kinds
    assert value(samples, "gateway_turn_cost_dollars_total", **of) == 0.75


async def test_errors_go_by_their_code_or_else_their_status(metrics: Metrics) -> None:
    metrics.turn(make_entry(status=Status.FAILED, error_status=429, error_code="rate_limit_exceeded"))
    metrics.turn(make_entry(status=Status.FAILED, error_status=502))
    metrics.turn(make_entry())
    samples = told(metrics)
    errors = {
        dict(labels)["error"]: count for (name, labels), count in samples.items() if name == "gateway_turn_errors_total"
    }
    assert errors == {"rate_limit_exceeded": 1, "502": 1}


async def test_history_is_that_of_sessions(metrics: Metrics) -> None:
    metrics.turn(make_entry(make_session(), history_messages=4, history_trimmed=2, history_tokens=40))
    metrics.turn(make_entry(history_messages=9))
    samples = told(metrics)
    assert value(samples, "gateway_history_messages_total", fate="injected") == 4
    assert value(samples, "gateway_history_messages_total", fate="trimmed") == 2
    assert value(samples, "gateway_history_tokens_total") == 40


async def test_times_are_seconds(metrics: Metrics) -> None:
    metrics.turn(make_entry(latency_ms=1500.0, ttft_ms=200.0, overhead_ms=0.5))
    metrics.turn(make_entry())
    metrics.end_request("GET", "/v1/models", 200, 0.003)
    samples = told(metrics)
    of = {"model": "fast", "provider": "openai"}
    for name, labels, seconds in [
        ("gateway_provider_duration_seconds", of, 1.5),
        ("gateway_time_to_first_token_seconds", of, 0.2),
        ("gateway_turn_overhead_seconds", {}, 0.0005),
        ("gateway_request_duration_seconds", {"route": "/v1/models"}, 0.003),
    ]:
        assert value(samples, f"{name}_count", **labels) == 1
        assert value(samples, f"{name}_sum", **labels) == pytest.approx(seconds)
    assert value(samples, "gateway_turn_overhead_seconds_bucket", le="0.0005") == 1
    assert value(samples, "gateway_turn_overhead_seconds_bucket", le="0.00025") == 0


async def test_requests_are_counted_by_route_and_those_under_way_by_number(metrics: Metrics) -> None:
    for _ in range(3):
        metrics.begin_request()
    metrics.end_request("GET", "/chat/sessions/{session_id}", 200, 0.1)
    metrics.end_request("BREW", None, 404, 0.1)
    samples = told(metrics)
    assert value(samples, "gateway_requests_in_flight") == 1
    of_session = {"method": "GET", "route": "/chat/sessions/{session_id}", "status": "200"}
    assert value(samples, "gateway_requests_total", **of_session) == 1
    assert value(samples, "gateway_requests_total", method="other", route="unknown", status="404") == 1


async def test_nothing_is_told_twice(metrics: Metrics) -> None:
    metrics.turn(make_entry(make_session(), cost=1.0, latency_ms=1.0))
    assert told(metrics) == told(metrics)


async def test_the_document_describes_every_metric(metrics: Metrics) -> None:
    metrics.turn(make_entry(make_session(), cost=1.0, error_status=500))
    families = list(text_string_to_metric_families(metrics.exposition().decode()))
    names = {f"{family.name}_total" if family.type == "counter" else family.name: family.type for family in families}
    rows = re.findall(r"^\| `(gateway_\w+)` \| (\w+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert dict(rows) == names
