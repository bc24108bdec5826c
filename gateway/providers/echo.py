"""The `echo` model answers without a provider: how many messages it was sent, and the first and the last of them.

The same messages always get the same text, so that the gateway's memory can be seen, and tested, without any key.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import orjson

from gateway.ids import ulid
from gateway.ports import ProviderCall, ProviderReply
from gateway.wire.json import parse_array
from gateway.wire.runs import Run, read

_INSTRUCTIONS = frozenset({"system", "developer"})
_WORDS_A_CHUNK = 4


class EchoProvider:
    """`count` gives the tokens of a text; without it replies carry no usage."""

    def __init__(self, count: Callable[[str], int] | None = None) -> None:
        self._count = count

    async def complete(self, call: ProviderCall) -> ProviderReply:
        text, usage = self._answer(call)
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        data = {**_head(call, "chat.completion"), "choices": [choice], **({"usage": usage} if usage else {})}
        return ProviderReply(body=orjson.dumps(data), data=data, headers={})

    async def stream(self, call: ProviderCall) -> "EchoStream":
        text, usage = self._answer(call)
        head = _head(call, "chat.completion.chunk")
        deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in _pieces(text)), {}]
        events: list[dict[str, Any]] = [{**head, "choices": [_choice(delta)], "usage": None} for delta in deltas]
        events[-1]["choices"][0]["finish_reason"] = "stop"
        if usage:
            events.append({**head, "choices": [], "usage": usage})
        return EchoStream(events)

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _answer(self, call: ProviderCall) -> tuple[str, dict[str, int] | None]:
        messages = parse_array(call.messages)
        text = _say(messages)
        if self._count is None:
            return text, None
        prompt = sum(self._count(_text(message)) for message in messages)
        completion = self._count(text)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return text, usage


class EchoStream:
    """The events of one reply, one at a time; see `ports.ProviderStream`."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.headers: Mapping[str, str] = {}
        self._events = iter(events)

    def __aiter__(self) -> AsyncIterator[Sequence[Run]]:
        return self

    async def __anext__(self) -> Sequence[Run]:
        for event in self._events:
            return [read(orjson.dumps(event))]
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._events = iter(())


def _say(messages: Sequence[Mapping[str, Any]]) -> str:
    spoken = [message for message in messages if message["role"] not in _INSTRUCTIONS]
    instructions = len(messages) - len(spoken)
    count = f"{len(messages)} message{'' if len(messages) == 1 else 's'}"
    of_them = f", {instructions} of them instructions" if instructions else ""
    if not spoken:
        return f"You sent {count}{of_them}."
    if len(spoken) == 1:
        return f'You sent {count}{of_them}. It says: "{_text(spoken[0])}".'
    return f'You sent {count}{of_them}. The first says: "{_text(spoken[0])}". The last says: "{_text(spoken[-1])}".'


def _text(message: Mapping[str, Any]) -> str:
    """A message's text, with the type of every other content part in its place."""
    content = message.get("content")
    if not isinstance(content, list):
        return "" if content is None else str(content)
    return " ".join(_part_text(part) for part in content)


def _part_text(part: Mapping[str, Any]) -> str:
    text = part.get("text") if part.get("type") == "text" else None
    return text if isinstance(text, str) else f"[{part.get('type')}]"


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    groups = [words[start : start + _WORDS_A_CHUNK] for start in range(0, len(words), _WORDS_A_CHUNK)]
    return [(" " if place else "") + " ".join(group) for place, group in enumerate(groups)]


def _choice(delta: Mapping[str, Any]) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}


def _head(call: ProviderCall, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{ulid()}",
        "object": kind,
        "created": int(time.time()),
        "model": call.deployment.name,
    }
