"""The litellm adapter against a provider that does not speak OpenAI's wire: what clients see is in OpenAI's shape."""

from collections.abc import AsyncIterator

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain import Deployment, Timeouts, Via
from gateway.errors import InvalidRequest, ProviderBroken, ProviderError, ProviderTimeout
from gateway.providers.litellm_adapter import LitellmProvider
from gateway.providers.transport import Transport
from tests.contract.provider_calls import KEY, call, choices, deployment, finish_reasons, read, text_of, usage_of
from tests.stubs.anthropic_wire import (
    AnthropicStub,
    Events,
    Gate,
    Hang,
    Json,
    Raw,
    error,
    message,
    message_events,
    text_block,
    text_events,
    thinking_events,
    tool_events,
)

PRIVATE = ("provider_specific_fields", "citations")
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(params=[False, True], ids=["unwrapped", "wrapped"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[LitellmProvider]:
    made = LitellmProvider(Transport(max_connections=10), wrapped=request.param)
    yield made
    await made.aclose()


@pytest.fixture
async def stub() -> AsyncIterator[AnthropicStub]:
    async with AnthropicStub() as server:
        yield server


@pytest.fixture
def target(stub: AnthropicStub) -> Deployment:
    return claude(stub)


def claude(stub: AnthropicStub, timeouts: Timeouts | None = None) -> Deployment:
    return deployment(Via.LITELLM, stub.base_url, provider="anthropic", model="claude-sonnet-4-5", timeouts=timeouts)


async def test_the_request_is_in_the_providers_own_form(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment
) -> None:
    turn = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"})
    await provider.complete(call(target, *turn, max_tokens=50, temperature=0.5, top_k=5, n=1, user="u-1", seed=None))
    (request,) = stub.requests
    assert request.headers["x-api-key"] == KEY
    assert request.body == {
        "model": "claude-sonnet-4-5",
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}],
        "max_tokens": 50,
        "temperature": 0.5,
        "top_k": 5,
        "metadata": {"user_id": "u-1"},
    }


@pytest.mark.parametrize("name", ["logprobs", "seed", "metadata", "min_p", "frobnicate", "tags"])
async def test_what_cannot_be_passed_on_is_refused_by_name(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment, name: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await provider.complete(call(target, **{name: True}))
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert stub.requests == []


async def test_a_whole_reply(provider: LitellmProvider, stub: AnthropicStub, target: Deployment) -> None:
    stub.reply_with(
        Json(message(text_block("Hello.")), headers={"anthropic-ratelimit-requests-remaining": "4", "request-id": "r"})
    )
    reply = await provider.complete(call(target))
    completion = ChatCompletion.model_validate(reply.data)
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello.", "stop")
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (11, 7)
    assert reply.headers == {"x-ratelimit-remaining-requests": "4"}
    assert set(reply.data["choices"][0]["message"]) == {"role", "content"}


async def test_a_tool_call_in_a_whole_reply(provider: LitellmProvider, stub: AnthropicStub, target: Deployment) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}
    stub.reply_with(Json(message(text_block("Let me see."), use, stop_reason="tool_use")))
    reply = await provider.complete(call(target, tools=TOOLS))
    (choice,) = reply.data["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    ]


async def test_a_streamed_reply(provider: LitellmProvider, stub: AnthropicStub, target: Deployment) -> None:
    stub.reply_with(Events(message_events(text_events("Hel", "lo."))))
    events = await read(provider, call(target))
    parsed = [ChatCompletionChunk.model_validate(event) for event in events]
    assert text_of(events) == "Hello."
    assert finish_reasons(events) == ["stop"]
    assert [choice["delta"].get("role") for choice in choices(events)] == ["assistant", None, None]
    assert len({event.id for event in parsed}) == 1
    assert usage_of(events) is not None
    assert (events[-1]["usage"]["prompt_tokens"], events[-1]["usage"]["completion_tokens"]) == (11, 7)
    assert not [name for event in events for name in PRIVATE if name in event]
    assert not [name for choice in choices(events) for name in PRIVATE if name in choice["delta"]]


async def test_a_stream_with_an_end_of_openais(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment
) -> None:
    """As some proxies add it; nothing is read after it."""
    said = message_events(text_events("Hel", "lo."))
    stub.reply_with(Events([*said, b"data: [DONE]\n\ndata: x\n\n"]))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hello.", ["stop"])
    usage = usage_of(events)
    assert usage is not None
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (11, 7)


@pytest.mark.parametrize("rest", [b"", b"\n", b'\n\ndata: {"type": "mess', b"\n\nda"])
async def test_a_last_event_without_its_empty_line(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment, rest: bytes
) -> None:
    """If it is half an event there is none."""
    *said, last, _ = message_events(text_events("Hello."))
    stub.reply_with(Events([*said, stub.encode(last).rstrip() + rest]))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hello.", ["stop"])
    usage = usage_of(events)
    assert usage is not None
    assert usage["completion_tokens"] == 7


async def test_streamed_tool_calls(provider: LitellmProvider, stub: AnthropicStub, target: Deployment) -> None:
    blocks = (
        text_events("Let me see."),
        tool_events("look", '{"at"', ": 1}"),
        tool_events("look", "{}", call_id="toolu_2"),
    )
    stub.reply_with(Events(message_events(*blocks, stop_reason="tool_use")))
    events = await read(provider, call(target, tools=TOOLS))
    fragments = [part for choice in choices(events) for part in choice["delta"].get("tool_calls", ())]
    assert finish_reasons(events) == ["tool_calls"]
    assert [(part["index"], part["id"]) for part in fragments if "id" in part] == [(0, "toolu_1"), (1, "toolu_2")]
    assert [part["function"]["name"] for part in fragments if "name" in part["function"]] == ["look", "look"]
    first = "".join(part["function"]["arguments"] for part in fragments if part["index"] == 0)
    assert first == '{"at": 1}'


async def test_streamed_thinking_can_be_put_together(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment
) -> None:
    blocks = (thinking_events("One, ", "two."), thinking_events("Three.", signature="dHdv"), text_events("Done."))
    stub.reply_with(Events(message_events(*blocks)))
    events = await read(provider, call(target, thinking={"type": "enabled", "budget_tokens": 1024}))
    parts = [part for choice in choices(events) for part in choice["delta"].get("thinking_blocks", ())]
    joined = {
        index: (
            "".join(part["thinking"] for part in parts if part["index"] == index),
            "".join(part.get("signature", "") for part in parts if part["index"] == index),
        )
        for index in (0, 1)
    }
    assert joined == {0: ("One, two.", "c2ln"), 1: ("Three.", "dHdv")}
    assert "".join(choice["delta"].get("reasoning_content") or "" for choice in choices(events)) == "One, two.Three."
    assert text_of(events) == "Done."


async def test_a_stream_without_stop_reason_ends_without_one(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment
) -> None:
    stub.reply_with(Events(message_events(text_events("Hel"), stop_reason=None)))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hel", [])


async def test_a_connection_cut_in_mid_stream(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment
) -> None:
    gate = Gate()
    stub.reply_with(Events([*message_events(text_events("Hel"), stop_reason=None), gate], ending="cut"))
    stream = await provider.stream(call(target))
    await anext(aiter(stream))
    assert await gate.reached()
    gate.open()
    with pytest.raises(ProviderBroken):
        await anext(aiter(stream))
    await stream.aclose()


async def test_an_error_event_in_mid_stream(provider: LitellmProvider, stub: AnthropicStub, target: Deployment) -> None:
    """litellm deviates: it keeps neither the type nor the message of the event apart from its own text."""
    failing = [*message_events(text_events("Hel"), stop_reason=None), error("overloaded_error", "Overloaded")]
    stub.reply_with(Events(failing))
    with pytest.raises(ProviderError) as caught:
        await read(provider, call(target))
    assert (caught.value.status, caught.value.message) == (
        500,
        "The provider of model 'fast' answered with status 500.",
    )


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limit_error"), (529, "overloaded_error")]
)
async def test_an_error_status_goes_through(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment, status: int, kind: str, streamed: bool
) -> None:
    stub.reply_with(Json(error(kind, "Not now."), status=status, headers={"retry-after": "9"}))
    with pytest.raises(ProviderError) as caught:
        await (read(provider, call(target)) if streamed else provider.complete(call(target)))
    assert (caught.value.status, caught.value.type, caught.value.message) == (status, kind, "Not now.")
    assert caught.value.headers == {"retry-after": "9"}
    assert len(stub.requests) == 1, "an adapter does not retry"


async def test_garbage_is_not_a_reply(provider: LitellmProvider, stub: AnthropicStub, target: Deployment) -> None:
    stub.reply_with(Raw(b"<html>It works!</html>"))
    with pytest.raises(ProviderBroken):
        await provider.complete(call(target))


async def test_a_provider_that_never_answers(provider: LitellmProvider, stub: AnthropicStub) -> None:
    target = claude(stub, Timeouts(connect=0.5, read=0.2, total=5))
    stub.reply_with(Hang(), Hang(status_sent=True))
    with pytest.raises(ProviderTimeout):
        await provider.complete(call(target))
    with pytest.raises(ProviderTimeout):
        await read(provider, call(target))


async def test_closing_a_stream_closes_its_connection(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment
) -> None:
    stub.reply_with(Events([*message_events(text_events("Hel"), stop_reason=None), Gate()]))
    stream = await provider.stream(call(target))
    await anext(aiter(stream))
    await stream.aclose()
    assert await stub.requests[0].client_gone()


async def test_closing_a_stream_that_has_not_been_read(
    provider: LitellmProvider, stub: AnthropicStub, target: Deployment
) -> None:
    stub.reply_with(Hang(status_sent=True))
    stream = await provider.stream(call(target))
    await stream.aclose()
    assert await stub.requests[0].client_gone()
