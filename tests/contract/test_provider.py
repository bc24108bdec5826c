"""What every adapter to a provider does the same, whatever the way to it: `gateway.ports.Provider`."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import Deployment, Timeouts, Via
from gateway.errors import InvalidRequest, ProviderBroken, ProviderError, ProviderTimeout
from gateway.ports import Provider
from gateway.providers.direct import DirectProvider
from gateway.providers.litellm_adapter import LitellmProvider
from gateway.providers.transport import Transport
from tests.contract.provider_calls import (
    KEY,
    call,
    deployment,
    drain,
    events_of,
    finish_reasons,
    read,
    text_of,
    usage_of,
)
from tests.stubs.openai_wire import (
    USAGE,
    Events,
    Gate,
    Hang,
    Json,
    OpenAIStub,
    Raw,
    chunk,
    chunks,
    completion,
    error,
    tool_call,
    usage_chunk,
)

MAKERS: dict[Via, Callable[[], Provider]] = {
    Via.DIRECT: lambda: DirectProvider(Transport(max_connections=10)),
    Via.LITELLM: lambda: LitellmProvider(Transport(max_connections=10)),
}
IMPATIENT = Timeouts(connect=0.5, read=0.2, total=5)


@pytest.fixture(params=list(MAKERS))
def via(request: pytest.FixtureRequest) -> Via:
    return Via(request.param)


@pytest.fixture
async def provider(via: Via) -> AsyncIterator[Provider]:
    made = MAKERS[via]()
    yield made
    await made.aclose()


@pytest.fixture
async def stub() -> AsyncIterator[OpenAIStub]:
    async with OpenAIStub() as server:
        yield server


@pytest.fixture
def target(via: Via, stub: OpenAIStub) -> Deployment:
    return deployment(via, stub.base_url)


# ── what goes out ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_request_carries_model_key_and_messages(
    provider: Provider, stub: OpenAIStub, target: Deployment
) -> None:
    await provider.complete(call(target, {"role": "user", "content": "Héllo"}, temperature=0.5))
    (request,) = stub.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body.pop("stream", False) is False
    assert request.body == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Héllo"}],
        "temperature": 0.5,
    }


async def test_messages_arrive_as_they_were_sent(
    provider: Provider, via: Via, stub: OpenAIStub, target: Deployment
) -> None:
    """litellm deviates: the nulls of an assistant's message are left out, which means the same."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief.", "name": "ops"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "https://images.test/a.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
            "x_unknown": {"deep": [1, None, 2.5]},
        },
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [tool_call("look", '{"at": 1}')]},
        {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
        {"role": "assistant", "content": "A cat.", "audio": {"id": "audio_1"}, "annotations": []},
        {"role": "user", "content": "Thanks."},
    ]
    await provider.complete(call(target, *messages))
    if via is Via.LITELLM:
        messages[2] = {name: value for name, value in messages[2].items() if value is not None}
    assert stub.requests[0].body["messages"] == messages


async def test_several_messages_may_come_in_one_piece(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    words = ["Be brief.", "Hello?", "Hello.", "Well?"]
    messages = [
        {"role": role, "content": text}
        for role, text in zip(("system", "user", "assistant", "user"), words, strict=True)
    ]
    first, *rest = call(target, *messages).messages
    for pieces in ([first, *rest], [first, b",".join(rest)], [b",".join([first, *rest])]):
        await provider.complete(replace(call(target), messages=pieces))
        assert stub.requests[-1].body["messages"] == messages


async def test_developer_messages(provider: Provider, via: Via, stub: OpenAIStub, target: Deployment) -> None:
    """litellm deviates: for models that it takes to be older than the role it makes it `system`, and drops the name."""
    message = {"role": "developer", "content": "Be brief.", "name": "ops"}
    await provider.complete(call(target, message))
    (sent,) = stub.requests[0].body["messages"]
    assert sent == ({"role": "system", "content": "Be brief."} if via is Via.LITELLM else message)


async def test_content_parts_of_unknown_types(
    provider: Provider, via: Via, stub: OpenAIStub, target: Deployment
) -> None:
    """litellm deviates: it takes only parts of types that it knows, so that others are refused by name."""
    message = {"role": "user", "content": [{"type": "hologram", "hologram": {"id": "h1"}}]}
    if via is Via.LITELLM:
        with pytest.raises(InvalidRequest, match="hologram") as caught:
            await provider.complete(call(target, message))
        assert (caught.value.param, stub.requests) == ("messages", [])
    else:
        await provider.complete(call(target, message))
        assert stub.requests[0].body["messages"] == [message]


async def test_parameters_arrive_as_they_were_sent(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    params = {
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}, "strict": True}}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "logprobs": True,
        "top_logprobs": 2,
        "seed": 7,
        "stop": ["END"],
        "user": "u-1",
        "metadata": {"team": "red"},
        "max_completion_tokens": 99,
        "top_k": 5,
        "chat_template_kwargs": {"enable_thinking": False},
        "vendor_field": {"a": [1]},
    }
    await provider.complete(call(target, **params))
    sent = stub.requests[0].body
    assert {name: sent.get(name) for name in params} == params


async def test_a_stream_always_asks_for_usage(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    await read(provider, call(target))
    body = stub.requests[0].body
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


# ── whole replies ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_whole_reply(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    limits = {"x-ratelimit-remaining-requests": "41", "openai-processing-ms": "12", "set-cookie": "a=b", "x-other": "1"}
    stub.reply_with(Json(completion("Hello."), headers=limits))
    reply = await provider.complete(call(target))
    assert reply.data["choices"][0]["message"]["content"] == "Hello."
    assert reply.data["choices"][0]["finish_reason"] == "stop"
    assert reply.data["usage"]["prompt_tokens_details"]["cached_tokens"] == 4
    assert json.loads(reply.body) == reply.data
    assert reply.headers == {"x-ratelimit-remaining-requests": "41", "openai-processing-ms": "12"}


async def test_a_reply_keeps_all_that_the_provider_said(
    provider: Provider, stub: OpenAIStub, target: Deployment
) -> None:
    said = completion(None, message={"refusal": "I cannot.", "reasoning_content": "Hm.", "x_vendor": {"a": 1}})
    stub.reply_with(Json(said))
    reply = await provider.complete(call(target))
    assert reply.data["choices"][0]["message"] == said["choices"][0]["message"]
    assert {name: reply.data[name] for name in ("id", "object", "created", "model", "usage")} == {
        name: said[name] for name in ("id", "object", "created", "model", "usage")
    }


async def test_tool_calls_in_a_whole_reply(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    calls = [tool_call("look", '{"at": 1}'), tool_call("listen", "{}", call_id="call_2")]
    stub.reply_with(Json(completion(None, message={"tool_calls": calls}, finish_reason="tool_calls")))
    reply = await provider.complete(call(target))
    (choice,) = reply.data["choices"]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == calls
    assert choice["finish_reason"] == "tool_calls"


async def test_several_choices_with_logprobs(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    given = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": {"content": [token], "refusal": None},
            "finish_reason": reason,
        }
        for index, (text, reason) in enumerate([("one", "stop"), ("two", "length")])
    ]
    stub.reply_with(Json(completion(choices=given)))
    reply = await provider.complete(call(target, n=2, logprobs=True))
    assert reply.data["choices"] == given
    assert stub.requests[0].body["n"] == 2


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_streamed_reply(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    sent = chunks("Hel", "lo.")
    stub.reply_with(Events(sent))
    assert await read(provider, call(target)) == sent


async def test_a_stream_passes_rate_limits_on(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(Events(chunks("a"), headers={"x-ratelimit-limit-tokens": "9", "x-other": "1"}))
    stream = await provider.stream(call(target))
    assert stream.headers == {"x-ratelimit-limit-tokens": "9"}
    await stream.aclose()


async def test_events_come_as_they_are_sent(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    gate = Gate()
    first, *rest = chunks("Hello.")
    stub.reply_with(Events([first, gate, *rest]))
    stream = await provider.stream(call(target))
    assert events_of(await anext(aiter(stream))) == [first]
    gate.open()
    assert [event async for runs in stream for event in events_of(runs)] == rest
    await stream.aclose()


async def test_streamed_tool_calls(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    fragments = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"at"'}},
        {"index": 0, "function": {"arguments": ": 1}"}},
        {"index": 1, "id": "call_2", "type": "function", "function": {"name": "listen", "arguments": "{}"}},
    ]
    sent = chunks(*({"tool_calls": [fragment]} for fragment in fragments), finish_reason="tool_calls")
    stub.reply_with(Events(sent))
    assert await read(provider, call(target)) == sent


async def test_streamed_choices_logprobs_and_refusals(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}], "refusal": None}
    sent = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": ""}, index=1),
        chunk({"content": "a"}, logprobs=logprobs),
        chunk({"refusal": "I cannot."}, index=1),
        chunk({}, finish_reason="stop"),
        chunk({}, finish_reason="content_filter", index=1),
        usage_chunk(),
    ]
    stub.reply_with(Events(sent))
    events = await read(provider, call(target, n=2))
    assert events == sent
    assert [finish_reasons(events, index) for index in (0, 1)] == [["stop"], ["content_filter"]]


async def test_a_stream_without_finish_reason_ends_without_one(
    provider: Provider, stub: OpenAIStub, target: Deployment
) -> None:
    stub.reply_with(Events(chunks("Hel", finish_reason=None, usage=None)))
    events = await read(provider, call(target))
    assert text_of(events) == "Hel"
    assert finish_reasons(events) == []
    assert usage_of(events) is None


async def test_a_stream_that_just_stops_ends_without_finish_reason(
    provider: Provider, stub: OpenAIStub, target: Deployment
) -> None:
    stub.reply_with(Events(chunks("Hel", finish_reason=None, usage=None), ending="eof"))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hel", [])


async def test_a_connection_cut_in_mid_stream(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    gate = Gate()
    sent = chunks("Hel", finish_reason=None, usage=None)
    stub.reply_with(Events([*sent, gate], ending="cut"))
    stream = await provider.stream(call(target))
    received: list[Any] = []
    while len(received) < len(sent):
        received += events_of(await anext(aiter(stream)))
    gate.open()
    with pytest.raises(ProviderBroken):
        await anext(aiter(stream))
    await stream.aclose()
    assert received == sent


async def test_an_error_event_with_half_a_character(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    first = chunk({"content": "Hel"})
    stub.reply_with(Events([first, error("Cut: \ud83d", code=429)]))
    stream = await provider.stream(call(target))
    received: list[Any] = []
    with pytest.raises(ProviderError) as caught:
        await drain(stream, received)
    await stream.aclose()
    assert received == [first]
    assert (caught.value.status, caught.value.message) == (429, "Cut: \ufffd")


async def test_an_error_event_in_mid_stream(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    sent = chunks("Hel", finish_reason=None, usage=None)
    stub.reply_with(Events([*sent, error("Too many tokens.", kind="tokens", code=429)]))
    stream = await provider.stream(call(target))
    received: list[Any] = []
    with pytest.raises(ProviderError) as caught:
        await drain(stream, received)
    await stream.aclose()
    assert received == sent
    assert (caught.value.status, caught.value.message, caught.value.type) == (429, "Too many tokens.", "tokens")


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503, 529])
async def test_an_error_status_goes_through(
    provider: Provider, stub: OpenAIStub, target: Deployment, status: int, streamed: bool
) -> None:
    body = error("That will not do.", kind="some_type", code="some_code", param="messages[0]")
    headers = {"retry-after": "7", "x-ratelimit-limit-requests": "60", "x-should-retry": "false", "server": "secret"}
    stub.reply_with(Json(body, status=status, headers=headers))
    with pytest.raises(ProviderError) as caught:
        await (read(provider, call(target)) if streamed else provider.complete(call(target)))
    assert caught.value.status == status
    assert caught.value.body() == body
    assert caught.value.headers == {
        "retry-after": "7",
        "x-ratelimit-limit-requests": "60",
        "x-should-retry": "false",
    }
    assert len(stub.requests) == 1, "an adapter does not retry"


async def test_a_refused_credential_is_the_gateways_own(
    provider: Provider, stub: OpenAIStub, target: Deployment
) -> None:
    body = error(f"Incorrect API key provided: {KEY[:8]}****{KEY[-4:]}.", code="invalid_api_key")
    stub.reply_with(Json(body, status=401))
    with pytest.raises(ProviderError) as caught:
        await provider.complete(call(target))
    assert (caught.value.status, caught.value.code) == (401, "provider_authentication_error")
    assert caught.value.message == "The provider of model 'fast' refused the gateway's credential."


async def test_no_message_shows_a_piece_of_the_key(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(Json(error(f"Key …{KEY[-4:]} has no access."), status=403))
    with pytest.raises(ProviderError) as caught:
        await provider.complete(call(target))
    assert (caught.value.status, caught.value.code) == (403, "provider_authentication_error")
    assert caught.value.message == "The provider of model 'fast' answered with status 403."


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_error_without_a_known_body(
    provider: Provider, stub: OpenAIStub, target: Deployment, streamed: bool
) -> None:
    stub.reply_with(Raw(b"<h1>Bad gateway at 10.0.0.1</h1>", status=502, content_type="text/html"))
    with pytest.raises(ProviderError) as caught:
        await (read(provider, call(target)) if streamed else provider.complete(call(target)))
    assert caught.value.status == 502
    assert caught.value.message == "The provider of model 'fast' answered with status 502."


async def test_garbage_is_not_a_reply(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(Raw(b"<html>It works!</html>"), Json({"hello": "world"}), Json([1, 2]))
    for _ in range(3):
        with pytest.raises(ProviderBroken):
            await provider.complete(call(target))


async def test_a_provider_that_cannot_be_reached(provider: Provider, via: Via) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ProviderBroken) as caught:
            await provider.complete(call(deployment(via, f"http://127.0.0.1:{port}/v1")))
    assert caught.value.message == "The provider of model 'fast' cannot be reached."


async def test_a_provider_that_never_answers(provider: Provider, via: Via, stub: OpenAIStub) -> None:
    target = deployment(via, stub.base_url, timeouts=IMPATIENT)
    stub.reply_with(Hang(), Hang())
    with pytest.raises(ProviderTimeout):
        await provider.complete(call(target))
    with pytest.raises(ProviderTimeout):
        await provider.stream(call(target))


async def test_a_stream_that_falls_silent(provider: Provider, via: Via, stub: OpenAIStub) -> None:
    sent = chunks("Hel", finish_reason=None, usage=None)
    stub.reply_with(Events([*sent, Gate()]))
    stream = await provider.stream(call(deployment(via, stub.base_url, timeouts=IMPATIENT)))
    received: list[Any] = []
    with pytest.raises(ProviderTimeout):
        await drain(stream, received)
    await stream.aclose()
    assert received == sent


async def test_a_call_has_a_time_of_its_own(provider: Provider, via: Via, stub: OpenAIStub) -> None:
    stub.reply_with(Hang())
    short = Timeouts(connect=5, read=60, total=0.2)
    with pytest.raises(ProviderTimeout):
        await provider.complete(call(deployment(via, stub.base_url, timeouts=short)))


# ── letting go ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_closing_a_stream_closes_its_connection(provider: Provider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(Events([chunk({"role": "assistant", "content": "Hel"}), Gate()]))
    stream = await provider.stream(call(target))
    await anext(aiter(stream))
    await stream.aclose()
    await stream.aclose()
    assert await stub.requests[0].client_gone()


async def test_closing_a_stream_that_has_not_been_read(
    provider: Provider, stub: OpenAIStub, target: Deployment
) -> None:
    stub.reply_with(Hang(status_sent=True))
    stream = await provider.stream(call(target))
    await stream.aclose()
    assert await stub.requests[0].client_gone()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_cancelled_call_closes_its_connection(
    provider: Provider, stub: OpenAIStub, target: Deployment, streamed: bool
) -> None:
    stub.reply_with(Hang())
    arrived = stub.next_request()
    running = asyncio.ensure_future(provider.stream(call(target)) if streamed else provider.complete(call(target)))
    request = await arrived
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await request.client_gone()


async def test_closing_twice_is_harmless(provider: Provider, target: Deployment) -> None:
    reply = await provider.complete(call(target))
    assert reply.data["usage"] == USAGE
    await provider.aclose()
    await provider.aclose()


async def test_several_choices_beneath_litellms_wrapper(stub: OpenAIStub) -> None:
    """litellm deviates: its wrapper, in use for all that OpenAI's SDK does not serve, mixes the choices of a stream."""
    provider = LitellmProvider(Transport(max_connections=10))
    target = deployment(Via.LITELLM, stub.base_url, provider="groq", model="openai/gpt-oss-20b")
    stub.reply_with(Events(chunks("Hel", "lo.")), Events([Gate()]))
    assert text_of(await read(provider, call(target))) == "Hello."
    with pytest.raises(InvalidRequest) as caught:
        await provider.stream(call(target, n=2))
    assert caught.value.param == "n"
    assert await stub.requests[1].client_gone()
    await provider.aclose()
