"""What is noted of turns and requests, and what Prometheus is told of it."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.domain import LedgerEntry, Status, Usage
from gateway.telemetry import gauges
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observing import observe
from gateway.telemetry.steps import PHASES, NotedTurn, Steps
from tests.contract.store.values import make_entry, make_session
from tests.unit.test_providers_routing import deployment

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


def note(metrics: Metrics, entry: LedgerEntry, user: str = "ada") -> None:
    """A turn each of whose phases took a second more than the one before it."""
    steps = Steps(100.0, 101.0, 103.0)
    if entry.session_id is not None:
        steps.claim, steps.open = 106.0, 110.0
    steps.window, steps.provider, steps.close = 115.0, 121.0, 128.0
    metrics.turn(entry, steps, user)


def by_label(samples: Samples, name: str, label: str) -> dict[str, float]:
    return {dict(labels)[label]: number for (sample, labels), number in samples.items() if sample == name}


@pytest.fixture
async def metrics() -> Metrics:
    return Metrics()


async def test_turns_are_counted_by_model_and_outcome(metrics: Metrics) -> None:
    for status in (Status.COMPLETE, Status.COMPLETE, Status.FAILED):
        note(metrics, make_entry(status=status))
    note(metrics, make_entry(model="other", provider="anthropic", stream=True))
    samples = told(metrics)
    of = {"model": "fast", "provider": "openai", "stream": "false"}
    assert value(samples, "gateway_turns_total", **of, status="complete") == 2
    assert value(samples, "gateway_turns_total", **of, status="failed") == 1
    assert (
        value(samples, "gateway_turns_total", model="other", provider="anthropic", stream="true", status="complete")
        == 1
    )


async def test_providers_do_not_decide_how_many_errors_are_told(metrics: Metrics) -> None:
    for number in range(150):
        note(metrics, make_entry(status=Status.FAILED, error_status=400, error_code=f"code_{number}"))
    errors = by_label(told(metrics), "gateway_turn_errors_total", "error")
    assert (len(errors), errors["code_0"], errors["other"]) == (101, 1, 50)


async def test_tokens_and_money_are_added_up(metrics: Metrics) -> None:
    usage = Usage(prompt_tokens=7, completion_tokens=3, cached_tokens=2, reasoning_tokens=1)
    note(metrics, make_entry(usage=usage, cost=0.25))
    note(metrics, make_entry(usage=usage, cost=0.5))
    note(metrics, make_entry(usage=usage, cost=None))
    samples = told(metrics)
    kinds = {"prompt": 21, "completion": 9, "cached": 6, "reasoning": 3}
    of = {"model": "fast", "provider": "openai"}
    assert {kind: value(samples, "gateway_turn_tokens_total", **of, kind=kind) for kind in kinds} == kinds
    assert value(samples, "gateway_turn_cost_dollars_total", **of) == 0.75


async def test_errors_go_by_their_code_or_else_their_status(metrics: Metrics) -> None:
    note(metrics, make_entry(status=Status.FAILED, error_status=429, error_code="rate_limit_exceeded"))
    note(metrics, make_entry(status=Status.FAILED, error_status=502))
    note(metrics, make_entry())
    samples = told(metrics)
    errors = {
        dict(labels)["error"]: count for (name, labels), count in samples.items() if name == "gateway_turn_errors_total"
    }
    assert errors == {"rate_limit_exceeded": 1, "502": 1}


async def test_history_is_that_of_sessions(metrics: Metrics) -> None:
    note(metrics, make_entry(make_session(), history_messages=4, history_trimmed=2, history_tokens=40))
    note(metrics, make_entry(history_messages=9))
    samples = told(metrics)
    assert value(samples, "gateway_history_messages_total", fate="injected") == 4
    assert value(samples, "gateway_history_messages_total", fate="trimmed") == 2
    assert value(samples, "gateway_history_tokens_total") == 40


async def test_times_are_seconds(metrics: Metrics) -> None:
    note(metrics, make_entry(latency_ms=1500.0, ttft_ms=200.0, overhead_ms=0.5))
    note(metrics, make_entry())
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


async def test_phases_follow_each_other_from_the_arrival_to_the_close(metrics: Metrics) -> None:
    note(metrics, make_entry(make_session()))
    samples = told(metrics)
    sums = by_label(samples, "gateway_turn_phase_seconds_sum", "phase")
    assert sums == dict(zip(PHASES, range(1, 8), strict=True))
    assert sum(sums.values()) == 28


async def test_a_stateless_call_has_neither_claim_nor_open(metrics: Metrics) -> None:
    note(metrics, make_entry())
    note(metrics, make_entry(make_session()))
    samples = told(metrics)
    counts = by_label(samples, "gateway_turn_phase_seconds_count", "phase")
    assert counts == {phase: 1 if phase in {"claim", "open"} else 2 for phase in PHASES}
    assert value(samples, "gateway_turn_phase_seconds_sum", phase="window") == 5 + 12


async def test_waits_are_those_of_turns_that_had_to_wait(metrics: Metrics) -> None:
    for waited in (True, False):
        steps = Steps(0.0, 1.0, 2.0)
        steps.end_claim(waited=waited)
        steps.claim, steps.open, steps.window, steps.provider, steps.close = 2.5, 3.0, 4.0, 5.0, 6.0
        metrics.turn(make_entry(make_session()), steps, "ada")
    samples = told(metrics)
    assert value(samples, "gateway_lock_wait_seconds_count") == 1
    assert value(samples, "gateway_lock_wait_seconds_sum") == 0.5


async def test_windows_in_memory_are_counted_for_sessions(metrics: Metrics) -> None:
    for session, cached in ((make_session(), True), (make_session(), True), (make_session(), False), (None, False)):
        note(metrics, make_entry(session))
        metrics._turns[-1][1].cached = cached
    assert by_label(told(metrics), "gateway_window_cache_lookups_total", "result") == {"hit": 2, "miss": 1}


async def test_a_histogram_that_is_given_many_values_at_once_is_as_if_it_had_been_given_each() -> None:
    bounds = (0.1, 0.5, 1.0)
    values = [0.0, 0.1, 0.1000001, 0.7, 1.0, 1.1, 50.0]
    registries = [CollectorRegistry(), CollectorRegistry()]
    one, other = [Histogram("seconds", "…", registry=registry, buckets=bounds) for registry in registries]
    for number in values:
        one.observe(number)
    observe(other, values)
    observe(other, [])
    assert generate_latest(registries[0]) == generate_latest(registries[1])


# ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_users_are_told_of_only_where_that_is_asked_for(metrics: Metrics) -> None:
    note(metrics, make_entry(), "ada")
    assert b"ada" not in metrics.exposition()
    assert b"gateway_user" not in metrics.exposition()


async def test_only_so_many_users_have_a_name() -> None:
    metrics = Metrics(user_labels=2)
    for user in ("ada", "bob", "eve", "ada", "joe"):
        note(metrics, make_entry(cost=0.5), user)
    note(metrics, make_entry(status=Status.FAILED, cost=None), "bob")
    samples = told(metrics)
    assert by_label(samples, "gateway_user_cost_dollars_total", "user") == {"ada": 1, "bob": 0.5, "other": 1}
    assert value(samples, "gateway_user_turns_total", user="bob", status="failed") == 1
    assert value(samples, "gateway_user_turns_total", user="other", status="complete") == 2
    assert value(samples, "gateway_user_tokens_total", user="ada", kind="prompt") == 14
    assert value(samples, "gateway_user_tokens_total", user="ada", kind="completion") == 6


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_figures_are_told_as_they_are(metrics: Metrics) -> None:
    figures = {"window_cache_bytes": 1000.0, "window_cache_entries": 2.0}
    metrics.watch(lambda: figures)
    assert value(told(metrics), "gateway_window_cache_bytes") == 1000
    figures["window_cache_bytes"] = 10
    assert value(told(metrics), "gateway_window_cache_bytes") == 10


async def test_a_process_that_does_nothing_more_tells_when_its_work_is_done(metrics: Metrics) -> None:
    """Another process that is asked sees only what this one has told by itself."""
    figures = {"database_write_queue": 3.0}
    metrics.watch(lambda: figures)
    note(metrics, make_entry())
    assert await soon(lambda: written(metrics, "database_write_queue") == 3)
    figures["database_write_queue"] = 0
    assert await soon(lambda: written(metrics, "database_write_queue") == 0)
    assert metrics._timer is None


async def test_a_deployment_is_told_as_long_as_it_cools_down_and_then_as_well(metrics: Metrics) -> None:
    east, west = deployment("east"), deployment("west")
    cooling = {east: 0.0, west: 0.0}
    metrics.may_cool_down([east, west], cooling.__getitem__)

    def left_alone() -> dict[str, float]:
        return by_label(told(metrics), "gateway_deployment_cooling_down", "deployment")

    def is_to_tell_more() -> bool:
        return metrics._timer is not None

    assert left_alone() == {"east": 0, "west": 0}
    assert not is_to_tell_more()
    cooling[east] = 30.0
    assert left_alone() == {"east": 1, "west": 0}
    assert is_to_tell_more()  # nobody need ask for its end to be told
    cooling[west] = 30.0
    assert left_alone() == {"east": 1, "west": 1}
    cooling[east] = cooling[west] = 0.0
    metrics.add_up()
    assert not is_to_tell_more()
    assert left_alone() == {"east": 0, "west": 0}


IN_TWO_PROCESSES = """
import os
from gateway.telemetry.metrics import Metrics

def tell(queue, backlog):
    metrics = Metrics()
    metrics.watch(lambda: {"database_pool_size": queue, "search_index_backlog": backlog})
    return metrics.exposition().decode()

if (child := os.fork()) == 0:
    tell(10, 7)
    os._exit(0)
os.waitpid(child, 0)
print(tell(10, 5))
"""


def test_what_all_processes_see_alike_is_not_added_up(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", IN_TWO_PROCESSES],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "gateway_database_pool_size 20.0" in done.stdout
    assert "gateway_search_index_backlog 5.0" in done.stdout


def written(metrics: Metrics, name: str) -> float:
    """What the last adding up has written, without another one."""
    number = metrics._registry.get_sample_value(f"gateway_{name}")
    assert number is not None
    return number


async def soon(is_so: Callable[[], bool]) -> bool:
    for _ in range(1000):
        if is_so():
            return True
        await asyncio.sleep(0.01)
    return False


async def test_turns_are_handed_on_once_they_are_added_up() -> None:
    taken: list[Sequence[NotedTurn]] = []
    metrics = Metrics(take_turns=taken.append)
    note(metrics, first := make_entry())
    note(metrics, second := make_entry())
    metrics.add_up()
    metrics.add_up()
    assert [[entry for entry, _, _ in turns] for turns in taken] == [[first, second]]


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
    note(metrics, make_entry(make_session(), cost=1.0, latency_ms=1.0))
    assert told(metrics) == told(metrics)


async def test_the_document_describes_every_metric() -> None:
    metrics = Metrics(user_labels=1)
    metrics.watch(lambda: dict.fromkeys([*gauges.WORK, *gauges.SIZES, *gauges.SHARED], 0))
    metrics.may_cool_down([deployment("east")], lambda _: 0.0)
    note(metrics, make_entry(make_session(), cost=1.0, error_status=500))
    families = list(text_string_to_metric_families(metrics.exposition().decode()))
    names = {f"{family.name}_total" if family.type == "counter" else family.name: family.type for family in families}
    rows = re.findall(r"^\| `(gateway_\w+)` \| (\w+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert dict(rows) == names
