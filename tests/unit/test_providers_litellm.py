"""The pure parts of the litellm adapter: what goes in, and what comes out of it, without litellm."""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from gateway.domain import Deployment, Via
from gateway.errors import InvalidRequest
from gateway.ports import ProviderCall
from gateway.providers.litellm_adapter import uncollected
from gateway.providers.litellm_reply import ReaderEvents, WrapperEvents, whole_reply
from gateway.providers.litellm_request import Support, arguments
from gateway.providers.litellm_stream import LitellmStream
from gateway.wire.runs import Run, read

DEPLOYMENT = Deployment(
    name="fast",
    via=Via.LITELLM,
    provider="p",
    model="p/m",
    context_window=1000,
    reply_reserve=100,
    encoding="o200k_base",
    exact=False,
    api_base="http://127.0.0.1:1",
    api_key="sk-secret",
    allow_params=frozenset({"allowed", "metadata"}),
)


def given(params: dict[str, Any], *, openai_wire: bool = False, stream: bool = False) -> dict[str, Any]:
    support = Support(
        openai_wire=openai_wire,
        params=frozenset({"temperature"}),
        native=frozenset({"top_k", "metadata"}),
        reserved=frozenset({"metadata", "tags"}),
        content_types=frozenset({"text"}),
    )
    call = ProviderCall(DEPLOYMENT, [b'{"role":"user","content":"Hello?"}'], params, "req_1")
    return arguments(call, support, timeout=5.0, stream=stream)


def test_the_servers_own_arguments_are_the_servers() -> None:
    found = given({"temperature": 0.5}, stream=True)
    assert found["temperature"] == 0.5
    assert (found["model"], found["api_base"], found["api_key"]) == ("p/m", "http://127.0.0.1:1", "sk-secret")
    assert (found["max_retries"], found["num_retries"], found["drop_params"]) == (0, 0, False)
    assert found["messages"] == [{"role": "user", "content": "Hello?"}]
    assert found["stream_options"] == {"include_usage": True}


def test_on_openais_wire_the_rest_goes_into_the_body() -> None:
    found = given({"temperature": 0.5, "metadata": {"a": 1}, "tags": ["b"], "x": None}, openai_wire=True)
    assert found["extra_body"] == {"metadata": {"a": 1}, "tags": ["b"], "x": None}
    assert not {"metadata", "tags", "x"} & found.keys()


def test_elsewhere_only_what_has_support_goes_on() -> None:
    found = given({"top_k": 5, "allowed": 1, "n": 1, "logprobs": False, "seed": None})
    assert (found["top_k"], found["allowed"]) == (5, 1)
    assert not {"n", "logprobs", "seed", "extra_body"} & found.keys()


@pytest.mark.parametrize("name", ["n", "metadata", "tags", "x"])
def test_elsewhere_the_rest_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'{name}'") as caught:
        given({name: 2})
    assert caught.value.param == name


def test_a_whole_reply_loses_litellms_noise_and_nothing_else() -> None:
    reply = {
        "id": "1",
        "moderation": None,
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "function_call": None,
                    "tool_calls": [{"index": 1, "id": "c", "type": "function", "function": {"name": "f"}}],
                    "provider_specific_fields": {"refusal": None, "citations": None, "x": [1]},
                },
                "provider_specific_fields": {},
            }
        ],
        "usage": {"prompt_tokens": 1, "speed": None},
    }
    assert whole_reply(reply) == {
        "id": "1",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}],
                    "x": [1],
                },
            }
        ],
        "usage": {"prompt_tokens": 1},
    }


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more}


def test_an_event_keeps_what_its_delta_says() -> None:
    delta = {"content": "a", "role": None, "tool_calls": None, "provider_specific_fields": {"citations": [1]}}
    event = WrapperEvents().shape(chunk(delta, provider_specific_fields=None), finished=False)
    assert event == chunk({"content": "a", "citations": [1]})


def test_an_invented_finish_reason_leaves_nothing() -> None:
    assert WrapperEvents().shape(chunk({"content": None}, "stop"), finished=False) is None
    assert WrapperEvents().shape(chunk({"content": None}, "stop"), finished=True) == chunk({}, "stop")


def test_usage_comes_without_choices() -> None:
    event = WrapperEvents().shape(chunk({"content": None}, usage={"prompt_tokens": 1}), finished=True)
    assert event == {"id": "1", "choices": [], "usage": {"prompt_tokens": 1}}


def test_fragments_of_thinking_are_numbered_by_block() -> None:
    events = WrapperEvents()
    fragments = [
        {"type": "thinking", "thinking": "a"},
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "b"},
    ]
    shaped = [events.shape(chunk({"thinking_blocks": [dict(fragment)]}), finished=False) for fragment in fragments]
    assert [event["choices"][0]["delta"]["thinking_blocks"][0]["index"] for event in shaped if event] == [0, 0, 1, 2]


def test_a_readers_chunks_become_events_with_one_head_and_role() -> None:
    events = ReaderEvents()
    first = {**chunk({"content": "a", "role": "assistant"}), "created": 5, "model": "m"}
    later = {**chunk({"content": "", "role": "assistant"}, "stop"), "id": "2", "created": 6}
    assert events.shape(first, finished=False) == {**first, "choices": [{**first["choices"][0]}]}
    assert events.shape(later, finished=True) == {**chunk({}, "stop"), "created": 5, "model": "m"}


def test_a_readers_chunk_that_says_nothing_is_none() -> None:
    assert ReaderEvents().shape(chunk({"content": ""}, "stop", usage={"prompt_tokens": 1}), finished=False) is None


def test_usage_in_parts_is_told_once_at_the_end() -> None:
    """A part has zeros for what it does not know, and a total of what it does."""
    events = ReaderEvents()
    start = {"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12, "details": {"cached": 3, "x": None}}
    end = {"prompt_tokens": 0, "completion_tokens": 7, "total_tokens": 7, "details": {"cached": 0}}
    for usage in (start, end):
        events.shape(chunk({"content": ""}, usage=usage), finished=True)
    told = events.usage()
    assert told is not None
    assert (told["choices"], told["usage"]) == (
        [],
        {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "details": {"cached": 3}},
    )


def test_usage_that_nobody_reported_is_not_told() -> None:
    events = ReaderEvents()
    events.shape(chunk({"content": "a"}), finished=True)
    assert events.usage() is None


class Body(httpx.AsyncByteStream):
    is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""

    async def aclose(self) -> None:
        self.is_closed = True


class Wrapper:
    async def aclose(self) -> None:
        raise InvalidRequest("The wrapper does not close.")


async def failing_source() -> AsyncGenerator[Sequence[Run], None]:
    try:
        yield [read(b"{}")]
    finally:
        raise InvalidRequest("The source does not close.")


async def test_a_response_is_closed_though_what_reads_it_does_not_close() -> None:
    body = Body()
    stream = LitellmStream(
        failing_source(),
        Wrapper(),
        httpx.Response(200, stream=body),
        headers={},
        deadline=asyncio.get_running_loop().time() + 10,
        translated=nullcontext,
    )
    await anext(stream)
    await stream.aclose()
    assert body.is_closed


def test_what_an_import_makes_is_never_collected() -> None:
    frozen = gc.get_freeze_count()
    with uncollected():
        assert not gc.isenabled()
        made: list[list[int]] = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(made)


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
