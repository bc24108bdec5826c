"""A provider that speaks Gemini's generateContent, and builders for what it says.

async with GeminiStub() as stub:
    stub.reply_with(
        Json(answer(text("Hello."), finish_reason="STOP")),
        Events([answer(text("Hel")), answer(text("lo."), finish_reason="STOP")]),
        Json(error(429, "RESOURCE_EXHAUSTED", "Slow down."), status=429),
    )
"""

import json
from collections.abc import Mapping
from typing import Any

from tests.stubs.server import Behaviour, Json, Recorded, StubServer

MODEL = "gemini-2.5-flash"


class GeminiStub(StubServer):
    """`base_url` is what goes into a model's `api_base`: litellm adds the model and the method itself."""

    path = "/{path:.*}"

    @property
    def base_url(self) -> str:
        return self.origin

    def default_for(self, request: Recorded) -> Behaviour:
        return Json(answer(text(f"You sent {len(request.body['contents'])} messages."), finish_reason="STOP"))

    def encode(self, event: Mapping[str, Any]) -> bytes:
        return f"data: {json.dumps(event)}\r\n\r\n".encode()


def text(said: str) -> dict[str, Any]:
    return {"text": said}


def function_call(name: str, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args}}


def answer(
    *parts: Mapping[str, Any], finish_reason: str | None = None, prompt_tokens: int = 11, tokens: int = 7
) -> dict[str, Any]:
    """A whole reply, or an event of a streamed one: they are alike, and each event reports the usage up to there."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish_reason is not None:
        candidate["finishReason"] = finish_reason
    usage = {
        "promptTokenCount": prompt_tokens,
        "candidatesTokenCount": tokens,
        "totalTokenCount": prompt_tokens + tokens,
    }
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL, "responseId": "gemini_stub"}


def error(code: int, status: str, message: str) -> dict[str, Any]:
    """Gemini's error body, and its error event."""
    return {"error": {"code": code, "message": message, "status": status}}
