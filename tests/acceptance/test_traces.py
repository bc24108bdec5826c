"""What a collector is told by a gateway of two workers, and that turns do not need it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.process import GatewayProcess, settings_for
from tests.acceptance.test_workers import line_to_each, two_workers, wait_for_both
from tests.stubs.collector import Collector
from tests.stubs.openai_wire import OpenAIStub

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EXIT_SECONDS = 10
"""More than the three that traces get, and less than the twenty that 1,500 spans take, in three batches or four."""

MESSAGES = [{"role": "user", "content": "Good morning."}]
IN_SESSION = ["auth", "read", "claim", "open", "window", "provider", "close"]
STATELESS = ["auth", "read", "window", "provider", "close"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def ask(gateway: GatewayProcess, traceparent: str | None = None, **fields: object) -> str:
    headers = {"authorization": f"Bearer {gateway.first_keys['user']}"}
    if traceparent is not None:
        headers["traceparent"] = traceparent
    body = {"model": "fast", "messages": MESSAGES, **fields}
    response = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30)
    assert response.status_code == 200, response.text
    return response.text


def test_each_worker_tells_of_its_turns_step_by_step(stub: OpenAIStub, tmp_path: Path, collector: Collector) -> None:
    telemetry = {"otlp_endpoint": collector.endpoint, "service_name": "memory"}
    with GatewayProcess(tmp_path, two_workers(stub, telemetry=telemetry)) as gateway:
        wait_for_both(gateway)
        with line_to_each(gateway) as (one, other):
            session = one.request("POST", "/chat/sessions", {})["session_id"]
            for line in (one, other):
                line.request(
                    "POST", "/v1/chat/completions", {"model": "fast", "messages": MESSAGES, "session_id": session}
                )
            pids = {one.worker, other.worker}
        assert ask(gateway, stream=True).endswith("[DONE]\n\n")
        key = gateway.first_keys["user"]
        assert gateway.stop() == 0
    roots = sorted(collector.roots(), key=lambda root: root.start)
    assert [[child.name for child in collector.children(root)] for root in roots] == [
        IN_SESSION,
        IN_SESSION,
        STATELESS,
    ]
    assert len({root.trace_id for root in roots}) == 3
    assert [root.attributes["gateway.history_messages"] for root in roots] == [0, 2, 0]
    assert [root.attributes["gen_ai.request.stream"] for root in roots] == [False, False, True]
    assert {root.attributes["gen_ai.usage.input_tokens"] for root in roots} == {11}
    assert {root.resource["process.pid"] for root in roots[:2]} == pids
    assert {root.resource["service.name"] for root in roots} == {"memory"}
    told = json.dumps([span._asdict() for span in collector.spans])
    for secret in (session, key, "Good morning"):
        assert secret not in told


def test_a_callers_trace_goes_on_through_the_gateway(stub: OpenAIStub, tmp_path: Path, collector: Collector) -> None:
    settings = settings_for(stub, telemetry={"otlp_endpoint": collector.endpoint, "sample": 0})
    with GatewayProcess(tmp_path, settings) as gateway:
        ask(gateway)
        ask(gateway, f"00-{TRACE}-{PARENT}-00")
        ask(gateway, f"00-{TRACE}-{PARENT}-01")
        assert gateway.stop() == 0
    [root] = collector.roots()
    assert (root.trace_id, root.parent_id) == (TRACE, PARENT)
    assert [child.name for child in collector.children(root)] == STATELESS


@pytest.fixture(params=["nobody listens", "refuses", "never answers"])
def bad_endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    with Collector(status=503) as refusing, socket.create_server(("127.0.0.1", 0)) as silent:
        yield {
            "nobody listens": "http://127.0.0.1:9",
            "refuses": refusing.endpoint,
            "never answers": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }[request.param]


def test_turns_need_no_collector_and_the_end_does_not_wait_for_one(
    stub: OpenAIStub, tmp_path: Path, bad_endpoint: str
) -> None:
    settings = settings_for(stub, telemetry={"otlp_endpoint": bad_endpoint})
    with GatewayProcess(tmp_path, settings) as gateway:
        with gateway.http(gateway.first_keys["user"]) as http:
            for _ in range(250):
                assert http.post("/v1/chat/completions", json={"model": "fast", "messages": MESSAGES}).is_success
        gateway.terminate()
        assert gateway.wait(EXIT_SECONDS) == 0
