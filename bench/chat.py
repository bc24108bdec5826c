"""The one question that is asked here over and over, and whether it is answered as it should be."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import aiohttp

from bench import BenchFailed
from bench.targets import MODEL, Target
from bench.upstream import CONTENT_EVENTS, EVENTS, REPLY

Work = TypeVar("Work")
Done = TypeVar("Done")

QUESTION = "Hello there, what is the weather like in Paris today?"
_ROUTE = "/v1/chat/completions"
_AT_ONCE = 32
"""Requests in flight while sessions are filled."""


def chat_body(*, stream: bool = False, session_id: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body if session_id is None else {**body, "session_id": session_id}


def check_reply(target: Target, *, stream: bool = False, session_id: str | None = None) -> None:
    """Ask once, and raise BenchFailed unless all of the upstream's answer arrives."""
    status, text = asyncio.run(_ask(target, chat_body(stream=stream, session_id=session_id)))
    if status != 200:
        raise BenchFailed(f"{target.name} answers with status {status}: {text[:200]}")
    mistake = mistake_of_stream(text) if stream else mistake_of_reply(text)
    if mistake is not None:
        raise BenchFailed(f"{target.name} does not pass the reply on: {mistake}")


def create_sessions(target: Target, count: int) -> list[str]:
    """Empty ones."""

    async def create(client: aiohttp.ClientSession, _: int) -> str:
        created = await _post(client, "/chat/sessions", {})
        session_id: str = json.loads(created)["session_id"]
        return session_id

    return asyncio.run(_many(target, create, range(count)))


def fill_sessions(target: Target, sessions: Sequence[str], *, exchanges: int, stream: bool = False) -> None:
    """Take so many turns in each, through the gateway itself; at once on several sessions, never on the same one."""

    async def fill(client: aiohttp.ClientSession, session_id: str) -> None:
        body = chat_body(stream=stream, session_id=session_id)
        for _ in range(exchanges):
            await _post(client, _ROUTE, body)

    asyncio.run(_many(target, fill, sessions))


async def _many(
    target: Target, do: Callable[[aiohttp.ClientSession, Work], Awaitable[Done]], works: Sequence[Work]
) -> list[Done]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(client: aiohttp.ClientSession, work: Work) -> Done:
        async with places:
            return await do(client, work)

    connector = aiohttp.TCPConnector(limit=_AT_ONCE)
    async with aiohttp.ClientSession(target.url, headers=target.headers, connector=connector) as client:
        return await asyncio.gather(*(one(client, work) for work in works))


async def _ask(target: Target, body: Mapping[str, Any]) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(target.url, headers=target.headers) as client,
        client.post(_ROUTE, json=body) as response,
    ):
        return response.status, await response.text()


async def _post(client: aiohttp.ClientSession, route: str, body: Mapping[str, Any]) -> bytes:
    async with client.post(route, json=body) as response:
        content = await response.read()
        if not response.ok:
            raise BenchFailed(f"{response.status} from {route}: {content[:200]!r}")
        return content


def mistake_of_reply(text: str) -> str | None:
    """What is wrong with a body that ought to be the upstream's whole reply; None if nothing is."""
    try:
        content = json.loads(text)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return f"this is no chat completion: {text[:200]}"
    return None if content == REPLY else f"its text is {content!r}"


def mistake_of_stream(text: str) -> str | None:
    """The same of its stream."""
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    if not events or events[-1] != "[DONE]":
        return f"the stream ends without [DONE]: {text[-200:]}"
    with_text = sum(_has_text(json.loads(event)) for event in events[:-1])
    if (len(events), with_text) != (EVENTS, CONTENT_EVENTS):
        return f"{len(events)} events arrive, {with_text} of them with text, of {EVENTS} and {CONTENT_EVENTS}"
    return None


def _has_text(event: Any) -> bool:
    choices = event.get("choices")
    return bool(choices and choices[0]["delta"].get("content"))
