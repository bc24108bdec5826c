import json
from collections.abc import Mapping
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain import Deployment, Via
from gateway.ports import ProviderCall
from gateway.providers.echo import EchoProvider
from tests.contract.provider_calls import events_of

USER: Mapping[str, Any] = {"role": "user", "content": "My name is Ada."}
ASSISTANT: Mapping[str, Any] = {"role": "assistant", "content": "Hello."}
ASKED: Mapping[str, Any] = {"role": "user", "content": "What is my name?"}
SYSTEM: Mapping[str, Any] = {"role": "system", "content": "Be kind."}


def echo_call(*messages: Mapping[str, Any]) -> ProviderCall:
    deployment = Deployment(
        name="parrot",
        via=Via.ECHO,
        provider="echo",
        model="echo",
        context_window=8192,
        reply_reserve=1024,
        encoding="o200k_base",
        exact=False,
    )
    return ProviderCall(deployment, [json.dumps(message).encode() for message in messages], {}, "req_1")


async def said(*messages: Mapping[str, Any]) -> str:
    reply = await EchoProvider().complete(echo_call(*messages))
    text: str = reply.data["choices"][0]["message"]["content"]
    return text


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([USER], 'You sent 1 message. It says: "My name is Ada.".'),
        (
            [USER, ASSISTANT, ASKED],
            'You sent 3 messages. The first says: "My name is Ada.". The last says: "What is my name?".',
        ),
        (
            [SYSTEM, USER, ASSISTANT, ASKED],
            (
                "You sent 4 messages, 1 of them instructions. "
                'The first says: "My name is Ada.". The last says: "What is my name?".'
            ),
        ),
        ([SYSTEM], "You sent 1 message, 1 of them instructions."),
    ],
)
async def test_it_counts_and_repeats_the_first_and_the_last(messages: list[Mapping[str, Any]], text: str) -> None:
    assert await said(*messages) == text


async def test_parts_that_are_not_text_are_named() -> None:
    parts = [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert await said({"role": "user", "content": parts}) == 'You sent 1 message. It says: "Look: [image_url]".'


@pytest.mark.parametrize("part", [{"type": "text"}, {"type": "text", "text": 7}])
async def test_a_text_part_without_text_is_named_too(part: dict[str, Any]) -> None:
    assert await said({"role": "user", "content": [part]}) == 'You sent 1 message. It says: "[text]".'


async def test_a_message_without_content() -> None:
    assert await said({"role": "assistant", "content": None}) == 'You sent 1 message. It says: "".'


async def test_a_whole_reply_has_openais_shape() -> None:
    reply = await EchoProvider(count=len).complete(echo_call(USER))
    completion = ChatCompletion.model_validate(json.loads(reply.body))
    assert completion.model == "parrot"
    assert completion.id.startswith("chatcmpl-")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == len(USER["content"])
    assert completion.usage.completion_tokens == len(completion.choices[0].message.content or "")


async def test_a_stream_says_the_same_in_pieces() -> None:
    call = echo_call(USER, ASSISTANT, ASKED)
    stream = await EchoProvider(count=len).stream(call)
    events = [event async for runs in stream for event in events_of(runs)]
    parsed = [ChatCompletionChunk.model_validate(event) for event in events]
    deltas = [choice.delta for chunk in parsed for choice in chunk.choices]
    pieces = [delta.content for delta in deltas if delta.content]
    assert "".join(pieces) == await said(USER, ASSISTANT, ASKED)
    assert len(pieces) > 1
    assert deltas[0].role == "assistant"
    assert [choice.finish_reason for chunk in parsed for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert parsed[-1].choices == []
    assert parsed[-1].usage is not None
    assert len({chunk.id for chunk in parsed}) == 1


async def test_a_closed_stream_ends() -> None:
    stream = await EchoProvider().stream(echo_call(USER))
    await stream.aclose()
    assert [runs async for runs in stream] == []


async def test_without_a_counter_there_is_no_usage() -> None:
    provider = EchoProvider()
    assert "usage" not in (await provider.complete(echo_call(USER))).data
    stream = await provider.stream(echo_call(USER))
    events = [event async for runs in stream for event in events_of(runs)]
    assert all(event["usage"] is None for event in events)
