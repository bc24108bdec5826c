"""Several deployments of a model, models that stand in for another, and what is tried again."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.domain import Status, Via
from gateway.errors import ProviderBroken
from gateway.ports import ProviderCall, ProviderReply, ProviderStream
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, compose, refusal
from tests.stubs.openai_wire import Events, Hang, Json, OpenAIStub, Raw, chunk, chunks, completion, error
from tests.stubs.server import Behaviour

QUICK = {"backoff": 0.001}
OUT_OF_ORDER = Json(error("Out of order.", code="overloaded"), status=500)
BUSY = Json(error("Slow down."), status=429, headers={"retry-after": "7"})


def upstream(stub: OpenAIStub | str, **fields: Any) -> dict[str, Any]:
    base = stub if isinstance(stub, str) else stub.base_url
    return {"model": "openai/gpt-4o-mini", "api_base": base, "api_key": "sk-provider", **fields}


def several(*stubs: OpenAIStub | str, **fields: Any) -> dict[str, Any]:
    """`fast`, with deployments a, b, … and a weight that puts them in this order for as good as every call."""
    parts = [upstream(stub, name="abc"[at], weight=10 ** (-3 * at)) for at, stub in enumerate(stubs)]
    return {"name": "fast", "deployments": parts, **fields}


@asynccontextmanager
async def serving(*models: dict[str, Any], **routing: Any) -> AsyncIterator[Composed]:
    settings = {"models": list(models), "routing": {**QUICK, **routing}, "logging": {"level": "error"}}
    async with compose(InMemoryStore(), settings) as gateway:
        yield gateway


@pytest.fixture
async def one() -> AsyncIterator[OpenAIStub]:
    async with OpenAIStub() as stub:
        yield stub


@pytest.fixture
async def two() -> AsyncIterator[OpenAIStub]:
    async with OpenAIStub() as stub:
        yield stub


@pytest.fixture
async def three() -> AsyncIterator[OpenAIStub]:
    async with OpenAIStub() as stub:
        yield stub


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A base URL whose port refuses connections: bound, and never listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


# ── trying again ─────────────────────────────────────────────────────────────────────────────────────────────────

PASSING: dict[str, Behaviour] = {
    "500": OUT_OF_ORDER,
    "503": Raw(b"<html>", status=503, content_type="text/html"),
    "429": Json(error("Slow down."), status=429),
    "429 with a short pause": Json(error("Slow down."), status=429, headers={"retry-after-ms": "1"}),
    "408": Json(error("Too slow."), status=408),
    "no JSON": Raw(b"<html>"),
    "no message": Json({"choices": [{"index": 0, "finish_reason": "stop"}]}),
}


@pytest.mark.parametrize("behaviour", PASSING.values(), ids=PASSING)
async def test_what_may_pass_is_tried_again_at_the_only_deployment(one: OpenAIStub, behaviour: Behaviour) -> None:
    one.reply_with(behaviour, behaviour, Json(completion("At last.")))
    async with serving(upstream(one, name="fast")) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        response = await ada.say(session)

        assert response.json()["choices"][0]["message"]["content"] == "At last."
        assert [message["status"] for message in await ada.messages(session)] == ["complete", "complete"]
        [entry] = await gateway.ledger(ada)
        assert (entry.status, entry.error_status, entry.deployment) == (Status.COMPLETE, None, None)
    assert len(one.requests) == 3
    assert [request.body for request in one.requests[1:]] == [one.requests[0].body] * 2


async def test_no_more_often_than_the_settings_say(one: OpenAIStub) -> None:
    one.reply_with(*[OUT_OF_ORDER] * 5)
    async with serving(upstream(one, name="fast"), retries=1) as gateway:
        ada = await gateway.person()
        assert refusal(await ada.ask(None), 500)["message"] == "Out of order."
        [entry] = await gateway.ledger(ada)
        assert (entry.status, entry.error_status, entry.error_code) == (Status.FAILED, 500, "overloaded")
    assert len(one.requests) == 2


@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_the_requests_fault_is_not_tried_again(
    one: OpenAIStub, two: OpenAIStub, status: int, stream: bool
) -> None:
    one.reply_with(Json(error("Not like that."), status=status))
    other = upstream(two, name="other")
    async with serving(several(one, two, fallbacks=["other"]), other) as gateway:
        refusal(await (await gateway.person()).ask(None, stream=stream), status)
    assert (len(one.requests), len(two.requests)) == (1, 0)


@pytest.mark.parametrize(
    "headers", [{"x-should-retry": "false"}, {"retry-after": "3600"}], ids=["advised against", "too long a pause"]
)
async def test_a_deployment_that_wants_to_be_left_alone_is_and_another_answers(
    one: OpenAIStub, two: OpenAIStub, headers: dict[str, str]
) -> None:
    one.reply_with(Json(error("Slow down."), status=429, headers=headers))
    async with serving(several(one, two)) as gateway:
        await (await gateway.person()).say(None)
    assert (len(one.requests), len(two.requests)) == (1, 1)

    one.reply_with(Json(error("Slow down."), status=429, headers=headers))
    async with serving(upstream(one, name="fast")) as gateway:
        response = await (await gateway.person()).ask(None)
        refusal(response, 429)
        assert headers.items() <= dict(response.headers).items()
    assert len(one.requests) == 2


class Down:
    """A provider that cannot be reached, and notes how long each call might have taken."""

    def __init__(self) -> None:
        self.granted: list[float] = []

    async def complete(self, call: ProviderCall) -> ProviderReply:
        self.granted.append(call.deployment.timeouts.total)
        raise ProviderBroken("down")

    async def stream(self, call: ProviderCall) -> ProviderStream:
        raise AssertionError("nobody asks for a stream here")

    async def aclose(self) -> None:
        pass


async def test_all_attempts_together_may_take_as_long_as_one_call() -> None:
    down = Down()
    settings = {"models": [upstream("http://127.0.0.1/v1", name="fast")], "routing": QUICK}
    async with compose(InMemoryStore(), settings, adapters={Via.DIRECT: down}) as gateway:
        refusal(await (await gateway.person()).ask(None), 502)
    first, second, third = down.granted
    assert 600 == first > second > third


async def test_a_call_that_has_taken_all_its_time_is_not_made_again(one: OpenAIStub) -> None:
    one.reply_with(Hang())
    settings = {"models": [upstream(one, name="fast")], "routing": QUICK, "providers": {"total_timeout": 0.2}}
    async with compose(InMemoryStore(), settings) as gateway:
        refusal(await (await gateway.person()).ask(None), 504)
    assert len(one.requests) == 1


async def test_a_pause_ends_with_the_server(one: OpenAIStub) -> None:
    one.reply_with(BUSY)
    async with serving(upstream(one, name="fast")) as gateway:
        ada, admin = await gateway.person(), await gateway.person("root", admin=True)
        session = await ada.new_session()
        asked = asyncio.create_task(ada.ask(session))
        # Counted as the pause begins.
        cooling = 'gateway_deployment_cooldowns_total{deployment="",model="fast",provider="openai"} 1.0'
        async with asyncio.timeout(5):
            while cooling not in (await admin.http.get("/metrics")).text:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)
        await gateway.app.cut_short()
        [entry] = await gateway.ledger(ada)  # before the pause would have been over
        assert refusal(await asked, 503)["code"] == "shutting_down"
        assert (entry.status, entry.error_code) == (Status.FAILED, "shutting_down")
        assert [message["status"] for message in await ada.messages(session)] == ["failed"]
    assert len(one.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("behaviour", [OUT_OF_ORDER, BUSY, PASSING["503"]], ids=["500", "429", "503"])
async def test_errors_that_come_through_litellm_are_tried_elsewhere_too(
    one: OpenAIStub, two: OpenAIStub, behaviour: Behaviour, stream: bool
) -> None:
    one.reply_with(behaviour)
    model = several(one, two)
    model["deployments"][0]["via"] = "litellm"
    async with serving(model) as gateway:
        ada = await gateway.person()
        await ada.say(None, stream=stream)
        [entry] = await gateway.ledger(ada)
        assert (entry.status, entry.deployment) == (Status.COMPLETE, "b")
    assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_what_litellm_is_told_is_the_requests_fault_is_not_tried_again(one: OpenAIStub, two: OpenAIStub) -> None:
    one.reply_with(Json(error("Not like that."), status=400))
    model = several(one, two)
    model["deployments"][0]["via"] = "litellm"
    async with serving(model) as gateway:
        refusal(await (await gateway.person()).ask(None), 400)
    assert len(two.requests) == 0


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

SILENT: dict[str, Behaviour] = {
    "500": OUT_OF_ORDER,
    "cut before the first event": Events([], ending="cut"),
    "ends before the first event": Events([], ending="eof"),
    "an error is the first event": Events([error("Overloaded.", code=529)], ending="eof"),
}


@pytest.mark.parametrize("behaviour", SILENT.values(), ids=SILENT)
async def test_a_stream_that_fails_before_its_first_event_is_tried_elsewhere(
    one: OpenAIStub, two: OpenAIStub, behaviour: Behaviour
) -> None:
    one.reply_with(behaviour)
    two.reply_with(Events(chunks("Here ", "I am.")))
    async with serving(several(one, two)) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        response = await ada.say(session, stream=True)
        assert response.text.endswith("data: [DONE]\n\n")
        assert "error" not in response.text
        assert (await ada.messages(session))[-1]["content"] == "Here I am."


@pytest.mark.parametrize("ending", ["cut", "eof"])
async def test_a_stream_that_has_begun_is_never_tried_again(one: OpenAIStub, two: OpenAIStub, ending: Any) -> None:
    one.reply_with(Events([chunk({"role": "assistant", "content": "Half"})], ending=ending))
    async with serving(several(one, two)) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        response = await ada.say(session, stream=True)
        assert "Half" in response.text
        assert "provider_unavailable" in response.text
        assert [message["status"] for message in await ada.messages(session)] == ["incomplete", "incomplete"]
    assert len(two.requests) == 0


# ── several deployments ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True])
async def test_another_deployment_answers_for_one_that_cannot_be_reached(
    nowhere: str, two: OpenAIStub, stream: bool
) -> None:
    async with serving(several(nowhere, two)) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        response = await ada.say(session, stream=stream)
        assert "x-gateway-model" not in response.headers
        [entry] = await gateway.ledger(ada)
        assert (entry.model, entry.provider_model, entry.deployment) == ("fast", "gpt-4o-mini", "b")
        assert [message["status"] for message in await ada.messages(session)] == ["complete", "complete"]


async def test_a_refused_credential_is_not_tried_twice_but_another_deployment_is(
    one: OpenAIStub, two: OpenAIStub
) -> None:
    one.reply_with(Json(error("Incorrect API key."), status=401))
    async with serving(several(one, two)) as gateway:
        await (await gateway.person()).say(None)
    assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_a_session_stays_where_it_is_and_sessions_are_shared_out(
    one: OpenAIStub, two: OpenAIStub, three: OpenAIStub
) -> None:
    stubs = (one, two, three)
    parts = [upstream(stub, name=name) for stub, name in zip(stubs, "abc", strict=True)]
    async with serving({"name": "fast", "deployments": parts}) as gateway:
        ada = await gateway.person()
        for _ in range(48):  # so many that none of three is left out by chance
            session = await ada.new_session()
            before = [len(stub.requests) for stub in stubs]
            for _ in range(3):
                await ada.say(session)
            assert sorted(len(stub.requests) - was for stub, was in zip(stubs, before, strict=True)) == [0, 0, 3]
        assert {entry.deployment for entry in await gateway.ledger(ada)} == {"a", "b", "c"}


async def test_a_deployment_that_keeps_failing_is_left_alone(two: OpenAIStub) -> None:
    async with OpenAIStub(OUT_OF_ORDER) as one, serving(several(one, two), cooldown_after=3) as gateway:
        ada, admin = await gateway.person(), await gateway.person("root", admin=True)
        for _ in range(10):
            await ada.say(None)
        assert (len(one.requests), len(two.requests)) == (3, 10)
        told = (await admin.http.get("/metrics")).text
        well = 'gateway_deployment_cooldowns_total{deployment="b",model="fast",provider="openai"} 0.0'
        retries = 'gateway_provider_retries_total{model="fast",provider="openai",reason="500"} 3.0'
        cooldowns = 'gateway_deployment_cooldowns_total{deployment="a",model="fast",provider="openai"} 1.0'
        assert retries in told
        assert cooldowns in told
        assert 'gateway_deployment_cooling_down{deployment="a",model="fast",provider="openai"} 1.0' in told
        assert 'gateway_deployment_cooling_down{deployment="b",model="fast",provider="openai"} 0.0' in told
        assert well in told


async def test_when_all_are_left_alone_one_is_asked_all_the_same(one: OpenAIStub, two: OpenAIStub) -> None:
    one.reply_with(OUT_OF_ORDER)
    two.reply_with(OUT_OF_ORDER)
    async with serving(several(one, two), cooldown_after=1, retries=1) as gateway:
        ada = await gateway.person()
        refusal(await ada.ask(None), 500)
        await ada.say(None)
    assert (len(one.requests), len(two.requests)) == (2, 1)


# ── models that stand in ─────────────────────────────────────────────────────────────────────────────────────────


async def test_another_model_stands_in_when_all_attempts_have_failed(nowhere: str, two: OpenAIStub) -> None:
    fast = upstream(nowhere, name="fast", fallbacks=["other"])
    priced = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.01}
    async with serving(fast, upstream(two, name="other", model="openai/gpt-4o", **priced)) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        response = await ada.say(session)
        assert response.headers["x-gateway-model"] == "other"
        assert two.requests[0].body["model"] == "gpt-4o"
        [entry] = await gateway.ledger(ada)
        assert (entry.model, entry.provider_model, entry.deployment) == ("fast", "gpt-4o", "other")
        assert entry.cost == pytest.approx(11 * 0.001 + 7 * 0.01)
        assert (await ada.messages(session))[-1]["model"] == "other"

        streamed = await ada.say(session, stream=True)
        assert streamed.headers["x-gateway-model"] == "other"
        assert [each["content"] for each in two.requests[1].body["messages"]][:1] == ["Hello."]
        assert len(two.requests[1].body["messages"]) == 3


async def test_history_is_fitted_anew_to_a_smaller_window(one: OpenAIStub, two: OpenAIStub) -> None:
    small = upstream(two, name="small", context_window=600, reply_reserve=50)
    async with serving(upstream(one, name="fast", fallbacks=["small"]), small, retries=0) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        for _ in range(4):
            one.reply_with(Json(completion("word " * 100)))
            await ada.say(session, "word " * 100)
        one.reply_with(OUT_OF_ORDER)
        response = await ada.say(session, "And now?")
        assert len(one.requests[-1].body["messages"]) == 9
        assert len(two.requests[-1].body["messages"]) == 5  # the newest two exchanges
        entry = (await gateway.ledger(ada))[-1]
        assert (entry.history_messages, entry.history_trimmed) == (4, 4)
        assert response.headers["x-history-messages"] == "4"

        await ada.say(session, "And then?")
        assert len(one.requests[-1].body["messages"]) == 11  # nothing was lost


async def test_models_that_would_refuse_the_request_are_passed_over(
    one: OpenAIStub, two: OpenAIStub, three: OpenAIStub
) -> None:
    fast = upstream(one, name="fast", allow_params=["x_custom"], fallbacks=["strict", "small", "last"])
    strict, small = upstream(two, name="strict"), upstream(two, name="small", context_window=256, reply_reserve=250)
    small["allow_params"] = ["x_custom"]
    last = upstream(three, name="last", allow_params=["x_custom"])
    async with serving(fast, strict, small, last, retries=0) as gateway:
        ada = await gateway.person()
        one.reply_with(OUT_OF_ORDER)
        response = await ada.say(await ada.new_session(), x_custom=1)
        assert response.headers["x-gateway-model"] == "last"
    assert (len(two.requests), three.requests[0].body["x_custom"]) == (0, 1)


async def test_when_all_fail_the_client_is_told_what_its_own_model_said(one: OpenAIStub, two: OpenAIStub) -> None:
    one.reply_with(BUSY)
    two.reply_with(Json(error("Not for me."), status=400))
    async with serving(
        upstream(one, name="fast", fallbacks=["other"]), upstream(two, name="other"), retry_after_max=5
    ) as gateway:
        ada = await gateway.person()
        response = await ada.ask(None)
        assert refusal(response, 429)["message"] == "Slow down."
        assert response.headers["retry-after"] == "7"
        [entry] = await gateway.ledger(ada)
        assert (entry.error_status, entry.deployment) == (429, None)
    assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_a_request_that_is_too_long_for_its_model_is_refused_whoever_could_take_it(
    one: OpenAIStub, two: OpenAIStub
) -> None:
    fast = upstream(one, name="fast", context_window=256, reply_reserve=10, fallbacks=["large"])
    async with serving(fast, upstream(two, name="large")) as gateway:
        ada = await gateway.person()
        found = refusal(await ada.ask(await ada.new_session(), "word " * 400), 400)
        assert found["code"] == "context_length_exceeded"
    assert (len(one.requests), len(two.requests)) == (0, 0)


async def test_what_is_spent_on_providers_is_none_of_the_gateways_own_time(one: OpenAIStub) -> None:
    one.reply_with(Json(error("Slow down."), status=429, headers={"retry-after-ms": "300"}))
    async with serving(upstream(one, name="fast")) as gateway:
        ada = await gateway.person()
        began = time.perf_counter()
        await ada.say(None)
        spent_ms = (time.perf_counter() - began) * 1000
        [entry] = await gateway.ledger(ada)
        assert entry.overhead_ms is not None
        assert entry.latency_ms is not None
        assert 0 < entry.overhead_ms <= spent_ms - 300 - entry.latency_ms
