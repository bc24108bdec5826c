"""A provider that speaks OpenAI's chat completions, and builders for what it says.

async with OpenAIStub() as stub:
    stub.reply_with(
        Json(completion("Hello.")),
        Events(chunks("Hel", "lo.")),
        Events(chunks("Hel"), ending="cut"),
        Json(error("slow down", code="rate_limit_exceeded"), status=429, headers={"retry-after": "7"}),
        lambda request: Json(completion(request.body["messages"][-1]["content"])),
    )
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.stubs.server import Behaviour, Events, Gate, Hang, Json, Raw, Recorded, StubServer, run_in_thread

__all__ = [
    "Events",
    "Gate",
    "Hang",
    "Json",
    "OpenAIStub",
    "Raw",
    "Recorded",
    "chunk",
    "chunks",
    "completion",
    "error",
    "run_in_thread",
    "tool_call",
    "usage_chunk",
]

CREATED = 1_750_000_000
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 2,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


class OpenAIStub(StubServer):
    """`base_url` is what goes into a model's `api_base`. Set `default` to answer every request in one way."""

    path = "/v1/chat/completions"
    end_of_stream = b"data: [DONE]\n\n"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def default_for(self, request: Recorded) -> Behaviour:
        """Say how many messages came and repeat the last, as a stream if one was asked for."""
        messages = request.body["messages"]
        text = f"You sent {len(messages)} messages; the last says {messages[-1].get('content')!r}."
        if not request.body.get("stream"):
            return Json(completion(text, model=request.body["model"]))
        return Events(chunks(*text.partition(";"), model=request.body["model"]))

    def encode(self, event: Mapping[str, Any]) -> bytes:
        return b"data: " + json.dumps(event).encode() + b"\n\n"


def completion(
    content: str | None = "Hello.",
    *,
    message: Mapping[str, Any] | None = None,
    choices: Sequence[Mapping[str, Any]] | None = None,
    finish_reason: str = "stop",
    model: str = "gpt-4o-mini-2024-07-18",
    usage: Mapping[str, Any] | None = USAGE,
) -> dict[str, Any]:
    """A whole completion: of one choice, `message` added to it; or of just these `choices`."""
    body = {"role": "assistant", "content": content, "refusal": None, "annotations": [], **(message or {})}
    one = {"index": 0, "message": body, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": list(choices) if choices is not None else [one],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_stub",
    }


def chunk(
    delta: Mapping[str, Any],
    *,
    finish_reason: str | None = None,
    index: int = 0,
    logprobs: Mapping[str, Any] | None = None,
    model: str = "gpt-4o-mini-2024-07-18",
) -> dict[str, Any]:
    """One event of a stream, for the choice at `index`."""
    choice = {"index": index, "delta": dict(delta), "logprobs": logprobs, "finish_reason": finish_reason}
    return {**_chunk_head(model), "choices": [choice], "usage": None}


def usage_chunk(usage: Mapping[str, Any] = USAGE, *, model: str = "gpt-4o-mini-2024-07-18") -> dict[str, Any]:
    """The last event of a stream with `include_usage`."""
    return {**_chunk_head(model), "choices": [], "usage": usage}


def chunks(
    *pieces: str | Mapping[str, Any],
    finish_reason: str | None = "stop",
    usage: Mapping[str, Any] | None = USAGE,
    model: str = "gpt-4o-mini-2024-07-18",
) -> list[dict[str, Any]]:
    """A whole stream: the role, each piece (a text, or a delta), the finish reason and the usage where not None."""
    deltas = [{"content": piece} if isinstance(piece, str) else piece for piece in pieces]
    events = [chunk({"role": "assistant", "content": "", "refusal": None}, model=model)]
    events += [chunk(delta, model=model) for delta in deltas]
    if finish_reason is not None:
        events.append(chunk({}, finish_reason=finish_reason, model=model))
    if usage is not None:
        events.append(usage_chunk(usage, model=model))
    return events


def tool_call(name: str, arguments: str, *, call_id: str = "call_1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def error(
    message: str, *, kind: str = "invalid_request_error", code: Any = None, param: str | None = None
) -> dict[str, Any]:
    """OpenAI's error body."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _chunk_head(model: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-stub",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_stub",
    }
