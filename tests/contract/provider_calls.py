"""What the provider contract is run with: deployments that point at a stub, and ways to read a reply."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.domain import Deployment, Timeouts, Via
from gateway.ports import Provider, ProviderCall, ProviderStream
from gateway.wire.runs import Run

KEY = "sk-upstream-0123456789"
HELLO: Mapping[str, Any] = {"role": "user", "content": "Hello?"}


def deployment(
    via: Via, api_base: str, *, provider: str = "openai", model: str = "gpt-4o-mini", timeouts: Timeouts | None = None
) -> Deployment:
    return Deployment(
        name="fast",
        via=via,
        provider=provider,
        model=f"{provider}/{model}" if via is Via.LITELLM else model,
        context_window=128_000,
        reply_reserve=4_096,
        encoding="o200k_base",
        exact=True,
        api_base=api_base,
        api_key=KEY,
        timeouts=timeouts or Timeouts(connect=5, read=5, total=10),
    )


def call(target: Deployment, *messages: Mapping[str, Any], **params: Any) -> ProviderCall:
    return ProviderCall(
        deployment=target,
        messages=[json.dumps(message).encode() for message in messages or (HELLO,)],
        params=params,
        request_id="req_contract",
    )


async def read(provider: Provider, request: ProviderCall) -> list[dict[str, Any]]:
    """Every event of a streamed reply, which is then closed."""
    stream = await provider.stream(request)
    events: list[dict[str, Any]] = []
    try:
        await drain(stream, events)
    finally:
        await stream.aclose()
    return events


async def drain(stream: ProviderStream, events: list[dict[str, Any]]) -> None:
    """Append what comes until the stream ends or raises."""
    async for runs in stream:
        events.extend(events_of(runs))


def events_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What goes on to the client."""
    framed = b"".join(run.framed for run in runs).split(b"\n\n")
    assert framed.pop() == b""
    return [json.loads(event.removeprefix(b"data: ")) for event in framed]


def text_of(events: Sequence[Mapping[str, Any]], index: int = 0) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in choices(events, index))


def finish_reasons(events: Sequence[Mapping[str, Any]], index: int = 0) -> list[str]:
    return [choice["finish_reason"] for choice in choices(events, index) if choice["finish_reason"]]


def choices(events: Sequence[Mapping[str, Any]], index: int = 0) -> list[dict[str, Any]]:
    return [choice for event in events for choice in event["choices"] if choice["index"] == index]


def usage_of(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The usage of the last event, which has no choices if it has one."""
    last = events[-1]
    if last.get("usage") is None:
        return None
    assert last["choices"] == []
    usage: Mapping[str, Any] = last["usage"]
    return usage
