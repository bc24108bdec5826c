"""A streamed call from the provider's first event to what is stored of it, with a provider and a client made for it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson
import pytest

from gateway.domain import Deployment, Status, Timeouts, Via
from gateway.errors import ClientDisconnected, GatewayError, ProviderBroken
from gateway.ports import ProviderCall, ProviderReply, ProviderStream
from gateway.turns.calling import call_streamed
from gateway.turns.flights import Flight, Flights
from gateway.turns.turn import Outcome
from gateway.wire.runs import Run, read

Step = bytes | GatewayError


class FakeStream:
    """Yields each step as a group of one event; an error is raised where it stands."""

    headers: Mapping[str, str] = {}

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[Sequence[Run]]:
        for step in self._steps:
            if isinstance(step, GatewayError):
                raise step
            yield [read(step)]

    async def aclose(self) -> None:
        self.is_closed = True


class FakeProvider:
    def __init__(self, steps: Sequence[Step]) -> None:
        self.opened = FakeStream(steps)

    async def complete(self, call: ProviderCall) -> ProviderReply:
        raise AssertionError("only streams are asked for here")

    async def stream(self, call: ProviderCall) -> ProviderStream:
        return self.opened

    async def aclose(self) -> None:
        pass


class FakeClient:
    """Takes `most` pieces, then stops reading, as a client does that neither reads nor hangs up."""

    def __init__(self, most: int = 1000) -> None:
        self.received: list[bytes] = []
        self.stalled = asyncio.Event()
        self._most = most

    async def start(self, headers: Mapping[str, str]) -> None:
        pass

    async def send(self, data: bytes) -> None:
        if len(self.received) == self._most:
            self.stalled.set()
            await asyncio.Event().wait()
        self.received.append(data)


def event(text: str | None = None, finish_reason: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    return orjson.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


def call(total: float = 60.0) -> ProviderCall:
    deployment = Deployment(
        name="fast",
        via=Via.DIRECT,
        provider="openai",
        model="m",
        context_window=8192,
        reply_reserve=100,
        encoding="o200k_base",
        exact=True,
        timeouts=Timeouts(total=total),
    )
    return ProviderCall(deployment, [], {}, "req_1")


def fly(provider: FakeProvider, client: FakeClient, **options: Any) -> Flight[Outcome]:
    return Flights().launch(
        lambda flight: call_streamed(provider, call(**options), flight, client, headers={}, include_usage=False)
    )


async def outcome_of(*steps: Step) -> Outcome:
    return await fly(FakeProvider(steps), FakeClient()).task


async def test_a_stream_that_says_why_it_ended_is_complete() -> None:
    outcome = await outcome_of(event("Hel"), event("lo"), event(finish_reason="stop"))
    assert (outcome.status, outcome.message) == (Status.COMPLETE, {"role": "assistant", "content": "Hello"})


async def test_a_connection_that_breaks_after_the_end_of_the_reply_takes_nothing_from_it() -> None:
    outcome = await outcome_of(event("Hello"), event(finish_reason="stop"), ProviderBroken("reset"))
    assert (outcome.status, outcome.error) == (Status.COMPLETE, None)


async def test_a_connection_that_breaks_before_it_leaves_what_has_arrived() -> None:
    outcome = await outcome_of(event("Hel"), ProviderBroken("reset"))
    assert outcome.status is Status.INCOMPLETE
    assert outcome.message == {"role": "assistant", "content": "Hel"}


async def test_a_stream_that_breaks_before_any_text_has_failed() -> None:
    outcome = await outcome_of(event(""), ProviderBroken("reset"))
    assert (outcome.status, outcome.message) == (Status.FAILED, None)


@pytest.mark.parametrize(
    ("halves", "text"),
    [
        ((b"\\ud83d", b"\\ude00"), "😀"),
        ((b"\\uD83D", b"\\uDE00"), "😀"),
        ((b"a\\ud83d", b"b"), "a\ufffdb"),
    ],
)
async def test_a_character_that_comes_in_two_events_is_stored_whole(halves: tuple[bytes, bytes], text: str) -> None:
    events = [b'{"choices":[{"index":0,"delta":{"content":"' + half + b'"}}]}' for half in halves]
    provider, client = FakeProvider([*events, event(finish_reason="stop")]), FakeClient()
    outcome = await fly(provider, client).task
    assert outcome.status is Status.COMPLETE
    assert outcome.message == {"role": "assistant", "content": text}
    assert client.received[:2] == [b"data: " + each + b"\n\n" for each in events]


async def test_a_client_that_stops_reading_holds_its_session_no_longer_than_a_call_may_take() -> None:
    provider, client = FakeProvider([event("Hel"), event("lo"), event(finish_reason="stop")]), FakeClient(most=1)
    async with asyncio.timeout(10):  # without the bound it would be for ever
        outcome = await fly(provider, client, total=0.05).task
    assert outcome.status is Status.INCOMPLETE
    assert outcome.error is not None
    assert outcome.error.code == "provider_timeout"
    assert provider.opened.is_closed


async def test_a_client_that_leaves_ends_the_call_and_leaves_what_has_arrived() -> None:
    provider, client = FakeProvider([event("Hel"), event("lo"), event(finish_reason="stop")]), FakeClient(most=1)
    flight = fly(provider, client)
    await client.stalled.wait()
    flight.interrupt(ClientDisconnected())
    outcome = await flight.task
    assert outcome.status is Status.INCOMPLETE
    assert outcome.message == {"role": "assistant", "content": "Hello"}
    assert isinstance(outcome.error, ClientDisconnected)
    assert provider.opened.is_closed


async def test_usage_on_the_last_chunk_is_for_those_who_asked() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    last = orjson.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
    provider, client = FakeProvider([event("Hi"), last]), FakeClient()
    outcome = await fly(provider, client).task
    assert outcome.usage is not None
    assert outcome.usage.prompt_tokens == 5
    sent = orjson.loads(client.received[-1].removeprefix(b"data: "))
    assert sent == {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


async def test_a_provider_that_repeats_itself_is_relayed_and_stored_as_if_it_had_not() -> None:
    function = {"name": "f", "arguments": "{"}
    made = {"index": 0, "id": "a", "type": "function", "function": function}
    delta = {"role": "assistant", "tool_calls": [made]}
    again = {"role": "assistant", "tool_calls": [{**made, "function": {"name": "f", "arguments": "}"}}]}
    events = [orjson.dumps({"choices": [{"index": 0, "delta": each}]}) for each in (delta, again)]
    provider, client = FakeProvider([*events, event(finish_reason="tool_calls")]), FakeClient()
    outcome = await fly(provider, client).task
    assert outcome.message is not None
    [stored] = outcome.message["tool_calls"]
    assert stored == {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    sent = orjson.loads(client.received[1].removeprefix(b"data: "))
    assert sent["choices"][0]["delta"] == {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}
