"""The litellm adapter against a provider that speaks Gemini's wire; its stream is read beneath litellm's wrapper."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain import Deployment, Via
from gateway.errors import ProviderBroken, ProviderError
from gateway.providers.litellm_adapter import LitellmProvider
from gateway.providers.transport import Transport
from tests.contract.provider_calls import KEY, call, choices, deployment, drain, finish_reasons, read, text_of, usage_of
from tests.stubs.gemini_wire import GeminiStub, answer, error, function_call, text
from tests.stubs.server import Events, Gate, Hang, Json

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(params=[False, True], ids=["unwrapped", "wrapped"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[LitellmProvider]:
    made = LitellmProvider(Transport(max_connections=10), wrapped=request.param)
    yield made
    await made.aclose()


@pytest.fixture
async def stub() -> AsyncIterator[GeminiStub]:
    async with GeminiStub() as server:
        yield server


@pytest.fixture
def target(stub: GeminiStub) -> Deployment:
    return deployment(Via.LITELLM, stub.base_url, provider="gemini", model="gemini-2.5-flash")


async def test_the_request_is_in_the_providers_own_form(
    provider: LitellmProvider, stub: GeminiStub, target: Deployment
) -> None:
    turn = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"})
    await provider.complete(call(target, *turn, max_tokens=50))
    (request,) = stub.requests
    assert request.headers["x-goog-api-key"] == KEY
    assert request.body["contents"] == [{"role": "user", "parts": [{"text": "Hello?"}]}]
    assert request.body["system_instruction"] == {"parts": [{"text": "Be brief."}]}
    assert request.body["generationConfig"]["max_output_tokens"] == 50


async def test_a_whole_reply(provider: LitellmProvider, stub: GeminiStub, target: Deployment) -> None:
    stub.reply_with(Json(answer(text("Hello."), finish_reason="STOP")))
    reply = await provider.complete(call(target))
    completion = ChatCompletion.model_validate(reply.data)
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello.", "stop")
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (11, 7)


async def test_a_streamed_reply(provider: LitellmProvider, stub: GeminiStub, target: Deployment) -> None:
    stub.reply_with(
        Events([answer(text("Hel"), tokens=1), answer(text("lo."), tokens=2), answer(text(""), finish_reason="STOP")])
    )
    events = await read(provider, call(target))
    parsed = [ChatCompletionChunk.model_validate(event) for event in events]
    assert text_of(events) == "Hello."
    assert finish_reasons(events) == ["stop"]
    assert [choice["delta"].get("role") for choice in choices(events)] == ["assistant", None, None]
    assert {(event.id, event.created, event.model) for event in parsed} == {
        ("gemini_stub", parsed[0].created, "gemini-2.5-flash")
    }
    usage = usage_of(events)
    assert usage is not None
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (11, 7, 18)


@pytest.mark.parametrize("candidates", [{}, {"candidates": []}], ids=["no candidates", "an empty list"])
async def test_a_refused_prompt(
    provider: LitellmProvider, stub: GeminiStub, target: Deployment, candidates: dict[str, Any]
) -> None:
    blocked = {name: value for name, value in answer().items() if name != "candidates"}
    stub.reply_with(Events([{**blocked, **candidates, "promptFeedback": {"blockReason": "SAFETY"}}]))
    assert finish_reasons(await read(provider, call(target))) == ["content_filter"]


async def test_a_stream_with_an_end_of_openais(provider: LitellmProvider, stub: GeminiStub, target: Deployment) -> None:
    """As some proxies add it."""
    stub.reply_with(Events([answer(text("Hello."), finish_reason="STOP"), b"data: [DONE]\r\n\r\n"]))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hello.", ["stop"])
    assert usage_of(events) is not None


async def test_a_last_event_without_its_empty_line(
    provider: LitellmProvider, stub: GeminiStub, target: Deployment
) -> None:
    stub.reply_with(Events([stub.encode(answer(text("Hello."), finish_reason="STOP"))[:-1]]))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hello.", ["stop"])


async def test_streamed_tool_calls(provider: LitellmProvider, stub: GeminiStub, target: Deployment) -> None:
    """The provider ends them with the finish reason of a text."""
    stub.reply_with(
        Events([answer(function_call("look", at=1)), answer(function_call("look")), answer(finish_reason="STOP")])
    )
    events = await read(provider, call(target, tools=TOOLS))
    parts = [part for choice in choices(events) for part in choice["delta"].get("tool_calls", ())]
    assert finish_reasons(events) == ["tool_calls"]
    assert [(part["index"], part["function"]["name"], part["function"]["arguments"]) for part in parts] == [
        (0, "look", '{"at": 1}'),
        (1, "look", "{}"),
    ]
    assert len({part["id"] for part in parts}) == 2


async def test_a_text_may_repeat_itself(provider: LitellmProvider, stub: GeminiStub, target: Deployment) -> None:
    """litellm's wrapper breaks a stream off that says the same a hundred times."""
    stub.reply_with(Events([*[answer(text("again "))] * 120, answer(finish_reason="STOP")]))
    assert text_of(await read(provider, call(target))) == "again " * 120


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_error_status_goes_through(
    provider: LitellmProvider, stub: GeminiStub, target: Deployment, streamed: bool
) -> None:
    stub.reply_with(Json(error(429, "RESOURCE_EXHAUSTED", "Slow down."), status=429, headers={"retry-after": "9"}))
    with pytest.raises(ProviderError) as caught:
        await (provider.stream(call(target)) if streamed else provider.complete(call(target)))
    assert (caught.value.status, caught.value.message) == (429, "Slow down.")
    assert caught.value.headers == {"retry-after": "9"}
    assert len(stub.requests) == 1, "an adapter does not retry"


async def test_an_error_event_in_mid_stream(provider: LitellmProvider, stub: GeminiStub, target: Deployment) -> None:
    stub.reply_with(Events([answer(text("Hel")), error(503, "UNAVAILABLE", "Overloaded.")]))
    stream = await provider.stream(call(target))
    events: list[dict[str, Any]] = []
    with pytest.raises(ProviderError) as caught:
        await drain(stream, events)
    await stream.aclose()
    assert (text_of(events), caught.value.status) == ("Hel", 503)


async def test_a_stream_without_finish_reason_ends_without_one(
    provider: LitellmProvider, stub: GeminiStub, target: Deployment
) -> None:
    stub.reply_with(Events([answer(text("Hel"))]))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hel", [])


async def test_a_connection_cut_in_mid_stream(provider: LitellmProvider, stub: GeminiStub, target: Deployment) -> None:
    gate = Gate()
    stub.reply_with(Events([answer(text("Hel")), gate], ending="cut"))
    stream = await provider.stream(call(target))
    await anext(aiter(stream))
    assert await gate.reached()
    gate.open()
    with pytest.raises(ProviderBroken):
        await anext(aiter(stream))
    await stream.aclose()


async def test_closing_a_stream_closes_its_connection(
    provider: LitellmProvider, stub: GeminiStub, target: Deployment
) -> None:
    stub.reply_with(Hang(status_sent=True))
    stream = await provider.stream(call(target))
    await stream.aclose()
    assert await stub.requests[0].client_gone()
