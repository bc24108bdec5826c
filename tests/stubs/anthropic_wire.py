"""A provider that speaks Anthropic's Messages, and builders for what it says.

async with AnthropicStub() as stub:
    stub.reply_with(
        Json(message(text_block("Hello."))),
        Events(message_events(text_events("Hel", "lo."))),
        Json(error("overloaded_error", "Overloaded"), status=529),
    )
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.stubs.server import Behaviour, Events, Gate, Hang, Json, Raw, Recorded, StubServer, run_in_thread

__all__ = [
    "AnthropicStub",
    "Events",
    "Gate",
    "Hang",
    "Json",
    "Raw",
    "Recorded",
    "error",
    "message",
    "message_events",
    "run_in_thread",
    "text_block",
    "text_events",
    "thinking_events",
    "tool_events",
]

MODEL = "claude-sonnet-4-5"


class AnthropicStub(StubServer):
    """`base_url` is what goes into a model's `api_base`: litellm adds `/v1/messages` itself."""

    path = "/v1/messages"

    @property
    def base_url(self) -> str:
        return self.origin

    def default_for(self, request: Recorded) -> Behaviour:
        """Say how many messages came and repeat the last, as a stream if one was asked for."""
        messages = request.body["messages"]
        text = f"You sent {len(messages)} messages; the last says {messages[-1]['content']!r}."
        if not request.body.get("stream"):
            return Json(message(text_block(text)))
        return Events(message_events(text_events(*text.partition(";"))))

    def encode(self, event: Mapping[str, Any]) -> bytes:
        return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def message(
    *blocks: Mapping[str, Any], stop_reason: str = "end_turn", input_tokens: int = 11, output_tokens: int = 7
) -> dict[str, Any]:
    """A whole reply."""
    return {
        **_message_head(input_tokens),
        "content": list(blocks),
        "stop_reason": stop_reason,
        "usage": _usage(input_tokens, output_tokens),
    }


def message_events(
    *blocks: Sequence[Mapping[str, Any]],
    stop_reason: str | None = "end_turn",
    input_tokens: int = 11,
    output_tokens: int = 7,
) -> list[Mapping[str, Any]]:
    """A whole stream of content blocks; with no `stop_reason` it ends behind the last of them."""
    events: list[Mapping[str, Any]] = [{"type": "message_start", "message": _message_head(input_tokens)}]
    for index, block in enumerate(blocks):
        events += [{**event, "index": index} for event in block]
    if stop_reason is None:
        return events
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    usage = {"output_tokens": output_tokens}
    return [*events, {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def text_events(*pieces: str) -> list[Mapping[str, Any]]:
    return _block({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces])


def thinking_events(*pieces: str, signature: str = "c2ln") -> list[Mapping[str, Any]]:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = {"type": "signature_delta", "signature": signature}
    return _block({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed])


def tool_events(name: str, *fragments: str, call_id: str = "toolu_1") -> list[Mapping[str, Any]]:
    start = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return _block(start, [{"type": "input_json_delta", "partial_json": fragment} for fragment in fragments])


def error(kind: str, message: str) -> dict[str, Any]:
    """Anthropic's error body."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_stub"}


def _block(start: Mapping[str, Any], deltas: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        {"type": "content_block_start", "content_block": start},
        *({"type": "content_block_delta", "delta": delta} for delta in deltas),
        {"type": "content_block_stop"},
    ]


def _message_head(input_tokens: int) -> dict[str, Any]:
    return {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(input_tokens, 1),
    }


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }
