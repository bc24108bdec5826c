"""The litellm adapter where a stream can only be read through litellm's wrapper: most providers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.domain import Deployment, Via
from gateway.errors import ProviderBroken
from gateway.providers.litellm_adapter import LitellmProvider
from gateway.providers.transport import Transport
from tests.contract.provider_calls import call, deployment, drain, finish_reasons, read, text_of, usage_of
from tests.stubs.openai_wire import USAGE, Events, Gate, Hang, OpenAIStub, chunks


@pytest.fixture
async def provider() -> AsyncIterator[LitellmProvider]:
    made = LitellmProvider(Transport(max_connections=10))
    yield made
    await made.aclose()


@pytest.fixture
async def stub() -> AsyncIterator[OpenAIStub]:
    async with OpenAIStub() as server:
        yield server


@pytest.fixture
def target(stub: OpenAIStub) -> Deployment:
    """litellm has code of its own for this provider's streams, which stand on OpenAI's wire nearly everywhere."""
    return deployment(Via.LITELLM, stub.base_url, provider="deepseek", model="deepseek-chat")


async def test_a_streamed_reply(provider: LitellmProvider, stub: OpenAIStub, target: Deployment) -> None:
    stub.reply_with(Events(chunks("Hel", "lo.")))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hello.", ["stop"])
    usage = usage_of(events)
    assert usage is not None
    assert usage["prompt_tokens"] == USAGE["prompt_tokens"]


async def test_a_stream_without_finish_reason_ends_without_one(
    provider: LitellmProvider, stub: OpenAIStub, target: Deployment
) -> None:
    stub.reply_with(Events(chunks("Hel", finish_reason=None, usage=None), ending="eof"))
    events = await read(provider, call(target))
    assert (text_of(events), finish_reasons(events)) == ("Hel", [])


async def test_a_connection_cut_in_mid_stream(provider: LitellmProvider, stub: OpenAIStub, target: Deployment) -> None:
    gate = Gate()
    stub.reply_with(Events([*chunks("Hel", finish_reason=None, usage=None), gate], ending="cut"))
    stream = await provider.stream(call(target))
    assert await gate.reached()
    gate.open()
    events: list[dict[str, Any]] = []
    with pytest.raises(ProviderBroken):
        await drain(stream, events)
    await stream.aclose()


async def test_closing_a_stream_closes_its_connection(
    provider: LitellmProvider, stub: OpenAIStub, target: Deployment
) -> None:
    stub.reply_with(Hang(status_sent=True))
    stream = await provider.stream(call(target))
    await stream.aclose()
    assert await stub.requests[0].client_gone()
