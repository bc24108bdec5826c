"""What the events of a streamed reply cost the gateway's own code: reading, folding and framing, without any socket.

    python -m bench.stream_fold

Prints microseconds of CPU per event, the best of several passes over a reply of 204 events, for replies of different
kinds, as their bytes come 64 KiB at a time and as they come one event at a time.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from gateway.turns.calling import Relay
from gateway.wire import sse
from gateway.wire.runs import Reader, Run

_PASSES = 60
_CHUNK = 65_536
_WORDS = 'the quick brown fox said: \\"it rains\\",\\n while she jumps over'.split()
_USAGE = {"prompt_tokens": 20, "completion_tokens": 200, "total_tokens": 220}

Delta = Callable[[str], dict[str, Any]]


class Deaf:
    """A client that is sent everything and keeps nothing."""

    async def start(self, headers: Mapping[str, str]) -> None: ...

    async def send(self, data: bytes) -> None: ...


class Chunks:
    """A provider's stream that is read as the direct path reads it."""

    headers: Mapping[str, str] = {}

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[Sequence[Run]]:
        reader = Reader()
        for chunk in self._chunks:
            yield list(reader.feed(chunk))

    async def aclose(self) -> None: ...


def text(piece: str) -> dict[str, Any]:
    return {"content": piece}


def arguments(piece: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def unlike(piece: str) -> dict[str, Any]:
    """A delta whose events have no two strings in one place, so that no template fits."""
    return {"content": piece, "other": piece}


def reply(delta: Delta, *, obfuscated: bool = False) -> list[bytes]:
    """The events of a reply of 200 pieces as OpenAI sends it: role, pieces, finish reason, usage, [DONE]."""
    deltas = [{"role": "assistant", "content": ""}, *(delta(" " + _WORDS[at % len(_WORDS)]) for at in range(200)), {}]
    chunks = [_chunk(each, None if each else "stop", obfuscated) for each in deltas]
    return [sse.event(json.dumps(each).encode()) for each in (*chunks, _head() | {"choices": [], "usage": _USAGE})] + [
        sse.event(sse.DONE)
    ]


def _head() -> dict[str, Any]:
    return {
        "id": "chatcmpl-bench0001",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    }


def _chunk(delta: Mapping[str, Any], finish_reason: str | None, obfuscated: bool) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    padding = {"obfuscation": "x" * random.randrange(1, 16)} if obfuscated else {}  # noqa: S311 - no secret
    return {**_head(), "choices": [choice], "usage": None, **padding}


def cut(events: Sequence[bytes]) -> Iterator[bytes]:
    whole = b"".join(events)
    return (whole[start : start + _CHUNK] for start in range(0, len(whole), _CHUNK))


async def cost(chunks: Sequence[bytes], events: int) -> float:
    """Microseconds of CPU per event, at best."""
    best = float("inf")
    for _ in range(_PASSES):
        relay = Relay(Deaf(), {}, include_usage=True)
        began = time.process_time_ns()
        await relay.run(Chunks(chunks))
        best = min(best, (time.process_time_ns() - began) / 1000 / events)
        assert relay.fold.is_finished  # noqa: S101 - a reply that was not read costs nothing
    return best


async def main() -> None:
    replies = {
        "text": reply(text),
        "text, obfuscated": reply(text, obfuscated=True),
        "tool call": reply(arguments),
        "two texts that grow": reply(unlike),
    }
    print(f"{'µs per event':24}{'64 KiB at once':>16}{'one at a time':>16}")  # noqa: T201 - what it is for
    for name, events in replies.items():
        many, single = await cost(list(cut(events)), len(events)), await cost(events, len(events))
        print(f"{name:24}{many:16.2f}{single:16.2f}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
