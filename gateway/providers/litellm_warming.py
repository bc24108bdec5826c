"""What litellm leaves to its first call, done while nobody waits: on the thread that has imported it.

That call would hold the event loop up: it imports 70 modules more, builds pydantic's models and a TLS context, and
loads an encoding that nothing here counts with. So a whole and a streamed call to the providers that most ask for are
made over a transport that answers by itself: no packet leaves the process.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

ANTHROPIC = {
    "id": "msg_0",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Warm."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
GEMINI = {
    "candidates": [
        {"content": {"parts": [{"text": "Warm."}], "role": "model"}, "finishReason": "STOP", "index": 0},
    ],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    "modelVersion": "gemini-2.5-flash",
}
_REPLIES: dict[str, dict[str, Any]] = {"anthropic/claude-sonnet-4-5": ANTHROPIC, "gemini/gemini-2.5-flash": GEMINI}

_NOWHERE = "http://127.0.0.1:9"
"""In case litellm did not use the transport that it is given."""


def warm(litellm: Any, acompletion: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
    """Not to be called where an event loop runs. A call that fails here fails nothing: the first one is slower then.

    `acompletion` is litellm's as the adapter calls it, with its arguments as a dict.
    """
    litellm.main.encoding = _Encoding(litellm)
    _build_models(litellm)
    for model, reply in _REPLIES.items():
        with suppress(Exception):
            asyncio.run(_call(litellm, acompletion, model, reply))


class _Encoding:
    """litellm hands its encoding to every call, and loads it for that: 0.1 s in which no other thread runs.

    The few providers that count with it load it when they do.
    """

    def __init__(self, litellm: Any) -> None:
        self._litellm = litellm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._litellm.utils.get_default_encoding(), name)


def _build_models(litellm: Any) -> None:
    """litellm leaves building its models to their first use.

    pydantic warns of a qualifier that litellm uses; litellm's filter against it does not hold where filters are reset.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier")
        for model in (litellm.ModelResponse, litellm.ModelResponseStream):
            model()


async def _call(
    litellm: Any, acompletion: Callable[[dict[str, Any]], Awaitable[Any]], model: str, reply: dict[str, Any]
) -> None:
    """A whole reply, and a stream that is opened alone: reading it loads nothing more."""
    import httpx  # noqa: PLC0415 - comes with litellm

    def answer(_: "httpx.Request") -> "httpx.Response":
        return httpx.Response(200, json=reply)

    handler = litellm.llms.custom_httpx.http_handler.AsyncHTTPHandler
    await handler().close()  # makes the TLS context that all clients share
    client = handler(transport=httpx.MockTransport(answer))
    given = {
        "model": model,
        "messages": [{"role": "user", "content": "?"}],
        "api_base": _NOWHERE,
        "api_key": "none",
        "client": client,
        "max_tokens": 1,
        "max_retries": 0,
        "_skip_mcp_handler": True,
    }
    try:
        await acompletion(given)
        stream = await acompletion({**given, "stream": True})
        await stream.aclose()
    finally:
        await client.close()
