"""What is the direct path's alone; what it shares with litellm's is in tests/contract/test_provider.py."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import Deployment, Via
from gateway.errors import ProviderBroken, ProviderError
from gateway.providers.direct import DirectProvider
from gateway.providers.transport import Transport
from tests.contract.provider_calls import KEY, call, deployment, drain, read, text_of
from tests.stubs.openai_wire import (
    Events,
    Gate,
    Json,
    OpenAIStub,
    Raw,
    chunks,
    completion,
    error,
    run_in_thread,
)


@pytest.fixture
async def provider() -> AsyncIterator[DirectProvider]:
    made = DirectProvider(Transport(max_connections=10))
    yield made
    await made.aclose()


@pytest.fixture
async def stub() -> AsyncIterator[OpenAIStub]:
    async with OpenAIStub() as server:
        yield server


@pytest.fixture
def target(stub: OpenAIStub) -> Deployment:
    return deployment(Via.DIRECT, stub.base_url)


def keyless(api_base: str) -> Deployment:
    return Deployment(
        name="local",
        via=Via.DIRECT,
        provider="hosted_vllm",
        model="llama",
        context_window=8192,
        reply_reserve=1024,
        encoding="o200k_base",
        exact=False,
        api_base=api_base,
    )


async def test_messages_and_replies_pass_as_bytes(
    provider: DirectProvider, stub: OpenAIStub, target: Deployment
) -> None:
    body = b'{ "choices" : [],\n "x": 1.0 }'
    stub.reply_with(Raw(body))
    request = call(target)
    reply = await provider.complete(
        type(request)(target, [b'{"role": "user",  "content": "\\u00e9"}'], {}, "req_bytes")
    )
    assert reply.body == body
    assert b'{"role": "user",  "content": "\\u00e9"}' in stub.requests[0].raw


async def test_the_call_names_itself(provider: DirectProvider, stub: OpenAIStub, target: Deployment) -> None:
    await provider.complete(call(target))
    headers = stub.requests[0].headers
    assert headers["x-request-id"] == "req_contract"
    assert headers["user-agent"].startswith("llm-history-gateway/")
    assert headers["content-type"] == "application/json"


async def test_an_upstream_without_key_gets_none(provider: DirectProvider, stub: OpenAIStub) -> None:
    await provider.complete(call(keyless(stub.base_url + "/")))
    assert "authorization" not in stub.requests[0].headers


async def test_a_credential_in_the_url_is_for_want_of_a_key(
    provider: DirectProvider, stub: OpenAIStub, target: Deployment
) -> None:
    url = stub.base_url.replace("://", "://me:pw@")
    await provider.complete(call(keyless(url)))
    await provider.complete(call(replace(target, api_base=url)))
    sent = [request.headers["authorization"] for request in stub.requests]
    assert sent == ["Basic bWU6cHc=", f"Bearer {KEY}"]
    assert stub.requests[0].headers["host"] == url.split("@")[1].removesuffix("/v1")


@pytest.mark.parametrize("key", ["sk-1\r\nx-evil: 1", "sk-1\n"])
async def test_a_key_that_no_header_can_carry(
    provider: DirectProvider, stub: OpenAIStub, target: Deployment, key: str
) -> None:
    with pytest.raises(ProviderBroken, match="cannot be reached"):
        await provider.complete(call(replace(target, api_key=key)))
    assert not stub.requests


async def test_an_answer_is_not_to_be_compressed(
    provider: DirectProvider, stub: OpenAIStub, target: Deployment
) -> None:
    named = Json(completion(), headers={"content-encoding": "identity"})
    stub.reply_with(named, Raw(gzip.compress(b"{}"), headers={"content-encoding": "gzip"}))
    await provider.complete(call(target))
    with pytest.raises(ProviderBroken, match="compressed"):
        await provider.complete(call(target))
    assert stub.requests[0].headers["accept-encoding"] == "identity"


async def test_a_redirect_is_not_followed(provider: DirectProvider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(Raw(b"", status=307, headers={"location": stub.base_url + "/chat/completions"}))
    with pytest.raises(ProviderBroken, match="status 307"):
        await provider.complete(call(target))
    assert len(stub.requests) == 1


async def test_cookies_are_not_kept(provider: DirectProvider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(Json(completion(), headers={"set-cookie": "session=1"}))
    await provider.complete(call(target))
    await provider.complete(call(target))
    assert "cookie" not in stub.requests[1].headers


async def test_a_connection_serves_again_after_a_stream(
    provider: DirectProvider, stub: OpenAIStub, target: Deployment
) -> None:
    gate = Gate()
    stub.reply_with(Events([*chunks("a"), b"data: [DONE]\n\n", gate], ending="eof"))
    await read(provider, call(target))
    assert await gate.reached()
    gate.open()
    await asyncio.gather(*provider._drains)
    await provider.complete(call(target))
    await read(provider, call(target))
    await provider.complete(call(target))
    assert len({request.peer for request in stub.requests}) == 1


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"error": "No such model."}, 404, "No such model."),
        ({"message": "Too long.", "type": "BadRequestError", "code": 400}, 400, "Too long."),
        ({"detail": "Not Found"}, 404, "Not Found"),
        (
            {"detail": [{"loc": ["body"], "msg": "secret"}]},
            422,
            "The provider of model 'fast' answered with status 422.",
        ),
        ({"error": {"message": 7}}, 400, "The provider of model 'fast' answered with status 400."),
        ([1], 500, "The provider of model 'fast' answered with status 500."),
    ],
)
async def test_shapes_of_error_bodies(
    provider: DirectProvider, stub: OpenAIStub, target: Deployment, body: object, status: int, message: str
) -> None:
    stub.reply_with(Json(body, status=status))
    with pytest.raises(ProviderError) as caught:
        await provider.complete(call(target))
    assert (caught.value.status, caught.value.message) == (status, message)


async def test_an_error_with_status_200(provider: DirectProvider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(
        Json(error("Rate limited upstream.", code=429)), Json(error("Odd.", code="x")), Json(error("Early.", code=503))
    )
    found = []
    for attempt in (provider.complete, provider.complete, provider.stream):
        with pytest.raises(ProviderError) as caught:
            await attempt(call(target))
        found.append((caught.value.status, caught.value.code, caught.value.message))
    assert found == [(429, "429", "Rate limited upstream."), (502, "x", "Odd."), (503, "503", "Early.")]


async def test_a_whole_answer_to_a_stream(provider: DirectProvider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(Json(completion()), Raw(b"<html>", content_type="text/html"))
    with pytest.raises(ProviderBroken, match="where a stream was asked for"):
        await provider.stream(call(target))
    with pytest.raises(ProviderBroken, match="not JSON"):
        await provider.stream(call(target))


async def test_an_event_that_is_no_json_object_comes_after_those_before_it(
    provider: DirectProvider, stub: OpenAIStub, target: Deployment
) -> None:
    first = chunks("Hel")[0]
    stub.reply_with(Events([first, b"data: hello\n\n", *chunks("lo")]))
    stream = await provider.stream(call(target))
    received: list[dict[str, Any]] = []
    with pytest.raises(ProviderBroken, match="not a usable JSON object"):
        await drain(stream, received)
    await stream.aclose()
    assert received == [first]


async def test_the_word_error_in_a_reply_is_no_error(
    provider: DirectProvider, stub: OpenAIStub, target: Deployment
) -> None:
    stub.reply_with(Events([{**event, "error": None} for event in chunks('{"error": "x"}')]))
    assert text_of(await read(provider, call(target))) == '{"error": "x"}'


async def test_a_stub_on_a_thread_of_its_own(provider: DirectProvider) -> None:
    with run_in_thread(OpenAIStub()) as stub:
        reply = await provider.complete(call(deployment(Via.DIRECT, stub.base_url)))
    assert reply.data["choices"][0]["message"]["content"] == "You sent 1 messages; the last says 'Hello?'."
    assert json.loads(stub.requests[0].raw) == stub.requests[0].body
