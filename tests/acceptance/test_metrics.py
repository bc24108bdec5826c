"""What an operator is told, after traffic of every kind over two workers, is what the provider saw."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.process import GatewayProcess
from tests.acceptance.test_workers import Line, line_to_each, two_workers, wait_for_both, wait_until
from tests.stubs.openai_wire import Events, Gate, Json, OpenAIStub, chunks, error

KINDS = ("prompt", "completion", "cached", "reasoning")
MESSAGES = [{"role": "user", "content": "Good morning."}]


@pytest.fixture
def workers(stub: OpenAIStub, tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path, two_workers(stub)) as gateway:
        wait_for_both(gateway)
        yield gateway


def as_admin(gateway: GatewayProcess, path: str) -> httpx.Response:
    response = httpx.get(f"{gateway.url}{path}", headers={"authorization": f"Bearer {gateway.first_keys['admin']}"})
    assert response.status_code == 200, response.text
    return response


def sums(gateway: GatewayProcess, name: str, label: str) -> Counter[str]:
    """A counter's values by one of its labels."""
    response = as_admin(gateway, "/metrics")
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            if sample.name == name:
                found[sample.labels[label]] += int(sample.value)
    return found


def dollars(gateway: GatewayProcess) -> float:
    families = text_string_to_metric_families(as_admin(gateway, "/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "gateway_turn_cost_dollars_total")


def stream(gateway: GatewayProcess) -> None:
    headers = {"authorization": f"Bearer {gateway.first_keys['user']}"}
    body = {"model": "fast", "messages": MESSAGES, "stream": True}
    assert httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers).text.endswith("[DONE]\n\n")


def ask(line: Line, **fields: object) -> None:
    line.request("POST", "/v1/chat/completions", {"model": "fast", "messages": MESSAGES, **fields})


def test_metrics_usage_and_provider_agree(stub: OpenAIStub, workers: GatewayProcess) -> None:
    with line_to_each(workers) as (one, other):
        session = one.request("POST", "/chat/sessions", {})["session_id"]
        for _ in range(5):
            ask(one)
            ask(other, session_id=session)
            ask(one, session_id=session)
            stream(workers)
        stub.reply_with(Json(error("Out of order."), status=500))
        with pytest.raises(AssertionError):
            ask(other)
    answered, asked = 20, len(stub.requests)
    assert asked == 21
    wait_until(lambda: sum(sums(workers, "gateway_turns_total", "status").values()) == asked)
    assert sums(workers, "gateway_turns_total", "status") == {"complete": answered, "failed": 1}
    assert sums(workers, "gateway_turns_total", "stream") == {"false": 16, "true": 5}
    tokens = sums(workers, "gateway_turn_tokens_total", "kind")  # the stub says 11 and 7 of each
    assert tokens["prompt"] == answered * 11
    assert tokens["completion"] == answered * 7
    assert sums(workers, "gateway_history_messages_total", "fate")["injected"] == sum(range(0, 20, 2))
    counted = ("turns", "failed_turns", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    totals = as_admin(workers, "/admin/usage").json()["totals"]
    assert [totals[name] for name in counted] == [asked, 1, *[tokens[kind] for kind in KINDS]]
    assert totals["cost"] > 0
    assert dollars(workers) == pytest.approx(totals["cost"])


def test_what_a_worker_that_was_killed_had_counted_stays(stub: OpenAIStub, workers: GatewayProcess) -> None:
    del stub
    with line_to_each(workers) as (one, other):
        for line in (one, other):
            ask(line)
        wait_until(lambda: sums(workers, "gateway_turns_total", "status") == {"complete": 2})
        os.kill(one.worker, signal.SIGKILL)
    wait_until(lambda: '"worker ended"' in workers.log)
    assert sums(workers, "gateway_turns_total", "status") == {"complete": 2}
    wait_until(lambda: figure(workers, "gateway_requests_in_flight") == 1)


def figure(gateway: GatewayProcess, name: str) -> int:
    """The value of a metric without labels."""
    response = as_admin(gateway, "/metrics")
    [line] = [line for line in response.text.splitlines() if line.startswith(f"{name} ")]
    return int(float(line.split()[1]))


def test_phases_and_figures_are_those_of_all_workers(stub: OpenAIStub, workers: GatewayProcess) -> None:
    del stub
    with line_to_each(workers) as (one, other):
        session = one.request("POST", "/chat/sessions", {})["session_id"]
        for line in (one, other, one):
            ask(line, session_id=session)
        ask(other)
    phases = {"auth": 4, "read": 4, "claim": 3, "open": 3, "window": 4, "provider": 4, "close": 4}
    wait_until(lambda: sums(workers, "gateway_turn_phase_seconds_count", "phase") == phases)
    assert sums(workers, "gateway_window_cache_lookups_total", "result") == {"hit": 1, "miss": 2}
    assert figure(workers, "gateway_window_cache_entries") == 2  # each has the session's window
    wait_until(lambda: figure(workers, "gateway_database_write_queue") == 0)


def test_the_files_of_the_metrics_go_with_the_server(stub: OpenAIStub, tmp_path: Path) -> None:
    place = tmp_path / "tmp"
    place.mkdir()
    with GatewayProcess(tmp_path, two_workers(stub), {"TMPDIR": str(place)}) as gateway:
        wait_for_both(gateway)
        assert [entry.name[:16] for entry in place.iterdir()] == ["gateway-metrics-"]
        assert gateway.stop() == 0
    assert list(place.iterdir()) == []


def test_what_runs_at_any_worker_is_told_by_each(stub: OpenAIStub, workers: GatewayProcess) -> None:
    gate = Gate()
    stub.reply_with(Events([*chunks("Half")[:2], gate, *chunks("Half")[2:]]))
    with ThreadPoolExecutor() as elsewhere:
        streaming = elsewhere.submit(stream, workers)
        assert gate.wait_reached()
        for _ in range(8):  # whichever worker answers
            wait_until(lambda: as_admin(workers, "/admin/live").json()["in_flight"]["requests"] == 1)
        assert as_admin(workers, "/admin/live").json()["workers"] == 2
        gate.open()
        streaming.result()
    wait_until(lambda: as_admin(workers, "/admin/live").json()["in_flight"]["requests"] == 0)
