"""Two servers that share a Redis: of 50 calls at once no more get through, on both together, than is allowed."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.process import GatewayProcess, settings_for
from tests.redis_server import RedisServer
from tests.stubs.openai_wire import Events, Gate, Json, OpenAIStub, chunk, chunks, completion, run_in_thread

CALLS = 50
PATIENCE = 60.0

PROMPT, REPLY = 9, 100
"""Tokens of each call, as we count them before it and as the provider counts them after it."""

Call = Callable[..., "Future[httpx.Response]"]


@pytest.fixture
def provider() -> Iterator[OpenAIStub]:
    usage = {"prompt_tokens": PROMPT, "completion_tokens": REPLY, "total_tokens": PROMPT + REPLY}
    with run_in_thread(OpenAIStub(Json(completion(usage=usage)))) as stub:
        yield stub


@contextmanager
def two_servers(limits: dict[str, Any], provider: OpenAIStub, redis: RedisServer, directory: Path) -> Iterator[Call]:
    """Calls of one key, the first one on one server, the next one on the other, and so on; all at the same time."""
    redis.forget()
    settings = settings_for(
        provider,
        storage={"url": f"sqlite:///{directory}/gateway.db"},
        limits={"storage": redis.url, "timeout": 15, **limits},
    )
    with ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            (directory / name).mkdir()
            servers.append(stack.enter_context(GatewayProcess(directory / name, settings)))
        headers = {"authorization": f"Bearer {servers[0].first_keys['user']}"}
        client = stack.enter_context(httpx.Client(timeout=PATIENCE, headers=headers))
        threads = stack.enter_context(ThreadPoolExecutor(CALLS))
        urls = [f"{server.url}/v1/chat/completions" for server in servers]

        def call(**fields: Any) -> "Future[httpx.Response]":
            urls.reverse()
            body = {"model": "fast", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": REPLY, **fields}
            return threads.submit(client.post, urls[0], json=body)

        yield call


def statuses(calls: list["Future[httpx.Response]"]) -> Counter[int]:
    return Counter(call.result(PATIENCE).status_code for call in calls)


@pytest.mark.parametrize(
    "limits", [{"key": {"requests_per_minute": 17}}, {"user": {"tokens_per_minute": 17 * (PROMPT + REPLY)}}]
)
def test_just_as_many_get_through_as_a_minute_has_room_for(
    limits: dict[str, Any], provider: OpenAIStub, redis_server: RedisServer, tmp_path: Path
) -> None:
    with two_servers(limits, provider, redis_server, tmp_path) as call:
        assert statuses([call() for _ in range(CALLS)]) == {200: 17, 429: CALLS - 17}
    assert len(provider.requests) == 17


def test_just_as_many_run_at_the_same_time_as_there_are_slots(
    provider: OpenAIStub, redis_server: RedisServer, tmp_path: Path
) -> None:
    gates = [Gate() for _ in range(6)]
    with two_servers({"key": {"parallel_calls": 6}}, provider, redis_server, tmp_path) as call:
        provider.reply_with(*[Events([chunk({"content": "slow"}), gate, *chunks("ly")]) for gate in gates])
        running = {call(stream=True) for _ in range(CALLS)}
        refused: set[Future[httpx.Response]] = set()
        while len(refused) < CALLS - 6:
            done, running = wait(running, PATIENCE, return_when="FIRST_COMPLETED")
            assert done, "more than the slots are waiting"
            refused |= done
        assert statuses([*refused]) == {429: CALLS - 6}
        assert len(provider.requests) == 6
        for gate in gates:
            assert gate.wait_reached()
            gate.open()
        assert statuses([*running]) == {200: 6}
        assert statuses([call() for _ in range(6)]) == {200: 6}
