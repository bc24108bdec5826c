"""One row a provider call: who, what, tokens, cost, times, outcome."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.types import Message, Scope

from gateway.domain import LedgerEntry, Status, Usage
from gateway.ports import Store
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Person, compose, refusal, settings_for
from tests.stubs.openai_wire import Events, Hang, Json, OpenAIStub, chunks, completion, error

REPORTED = Usage(prompt_tokens=11, completion_tokens=7, cached_tokens=4, reasoning_tokens=2)
"""What the stub reports unless told otherwise."""


async def only_entry(gateway: Composed, person: Person) -> LedgerEntry:
    [entry] = await gateway.ledger(person)
    return entry


async def test_a_call_is_one_row(gateway: Composed, ada: Person) -> None:
    session, before = await ada.new_session(), datetime.now(UTC)

    response = await ada.say(session)

    entry = await only_entry(gateway, ada)
    [key] = await gateway.store.list_keys()
    assert entry.turn_id == (await ada.messages(session))[0]["turn_id"]
    assert (entry.user_id, entry.key_id, entry.session_id) == (ada.user_id, key.id, session)
    assert entry.request_id == response.headers["x-request-id"]
    assert (entry.model, entry.provider, entry.provider_model) == ("fast", "openai", "gpt-4o-mini")
    assert (entry.stream, entry.status, entry.finish_reason) == (False, Status.COMPLETE, "stop")
    assert (entry.error_status, entry.error_code, entry.ttft_ms) == (None, None, None)
    assert before <= entry.created_at <= datetime.now(UTC)
    assert entry.usage == REPORTED
    assert entry.latency_ms is not None
    assert entry.overhead_ms is not None
    assert entry.latency_ms > 0
    assert entry.overhead_ms > 0


async def test_a_stateless_call_is_a_row_without_a_session(gateway: Composed, ada: Person) -> None:
    await ada.say(None)

    entry = await only_entry(gateway, ada)
    assert entry.session_id is None
    assert (entry.history_messages, entry.history_tokens, entry.history_trimmed) == (0, 0, 0)
    assert entry.usage == REPORTED


async def test_a_streamed_call_has_its_time_to_the_first_token(gateway: Composed, ada: Person) -> None:
    await ada.say(None, stream=True)

    entry = await only_entry(gateway, ada)
    assert entry.stream
    assert entry.usage == REPORTED
    assert entry.ttft_ms is not None
    assert entry.latency_ms is not None
    assert 0 < entry.ttft_ms <= entry.latency_ms


async def test_history_is_recorded_as_the_headers_told_it(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session(max_history_messages=2)
    for _ in range(3):
        response = await ada.say(session)

    entry = (await gateway.ledger(ada))[-1]
    told = [int(response.headers[f"x-history-{name}"]) for name in ("messages", "tokens", "trimmed")]
    assert [entry.history_messages, entry.history_tokens, entry.history_trimmed] == told
    assert (told[0], told[2]) == (2, 2)
    assert told[1] > 0


async def test_costs_are_reckoned_from_reported_tokens() -> None:
    async with OpenAIStub() as stub:
        [fast, *others] = settings_for(stub)["models"]
        priced = {**fast, "input_cost_per_token": 0.001, "output_cost_per_token": 0.01}
        async with compose(InMemoryStore(), {"models": [priced, *others]}) as gateway:
            ada = await gateway.person()
            for model in ("fast", "slow", "echo"):
                await ada.say(None, model=model)
            costs = [entry.cost for entry in await gateway.ledger(ada)]
    # 11 tokens of the prompt and 7 of the reply; by litellm's map, the 4 that were cached cost half as much.
    assert costs == [pytest.approx(0.081), pytest.approx(7 * 0.15e-6 + 4 * 0.075e-6 + 7 * 0.6e-6), None]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_not_reported_is_estimated_and_marked(gateway: Composed, ada: Person, stream: bool) -> None:
    session = await ada.new_session()
    unreported = Events(chunks("Hello.", usage=None)) if stream else Json(completion("Hello.", usage=None))
    gateway.stub.reply_with(unreported, unreported)

    await ada.say(session, "Hello.", stream=stream)
    await ada.say(None, "Hello.", stream=stream)

    with_session, stateless = [entry.usage for entry in await gateway.ledger(ada)]
    # 3 for the call; 3 for each message, 1 for its role and 2 for "Hello."
    assert with_session == stateless == Usage(prompt_tokens=9, completion_tokens=6, estimated=True)


async def test_a_failed_call_is_a_row_with_its_error(gateway: Composed, ada: Person) -> None:
    gateway.stub.reply_with(Json(error("slow down", code="rate_limit_exceeded"), status=429))
    await ada.ask(None)

    entry = await only_entry(gateway, ada)
    assert (entry.status, entry.error_status, entry.error_code) == (Status.FAILED, 429, "rate_limit_exceeded")
    assert (entry.usage.total_tokens, entry.finish_reason) == (0, None)
    assert entry.latency_ms is not None


async def test_a_reply_cut_off_is_a_row_with_what_arrived(gateway: Composed, ada: Person) -> None:
    gateway.stub.reply_with(Events(chunks("Hello.", finish_reason=None, usage=None), ending="eof"))
    await ada.ask(None, stream=True)

    entry = await only_entry(gateway, ada)
    assert (entry.status, entry.error_status, entry.error_code) == (Status.INCOMPLETE, 502, "provider_unavailable")
    assert entry.usage == Usage(prompt_tokens=9, completion_tokens=6, estimated=True)
    assert entry.ttft_ms is not None


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_reply_has_used_the_prompt(store: Store, stream: bool) -> None:
    """The provider has been sent it and bills it: else leaving early would be a way around every limit."""
    async with compose(store, {"limits": {"key": {"tokens_per_day": 1000}}}) as gateway:
        ada = await gateway.person()
        gateway.stub.reply_with(Hang())
        await leave_early(gateway, ada, "Hello.", stream=stream, max_tokens=900)

        entry = await only_entry(gateway, ada)
        assert (entry.status, entry.error_code) == (Status.FAILED, "client_disconnected")
        assert entry.usage == Usage(prompt_tokens=9, estimated=True)
        assert entry.cost is not None
        assert entry.cost > 0
        refused = refusal(await ada.ask(None, max_tokens=985), 429)
        assert "Used or reserved: 9 tokens" in refused["message"]


async def leave_early(gateway: Composed, person: Person, text: str, **fields: Any) -> None:
    """Ask, and go once the provider has been asked."""
    body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": text}], **fields}).encode()
    came: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if came:
            return came.pop()
        async with asyncio.timeout(10):
            while not gateway.stub.requests:  # noqa: ASYNC110 - it is served by another thread
                await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        """Nobody is there any more."""

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": [(b"authorization", f"Bearer {person.key}".encode())],
    }
    await gateway.app(scope, receive, send)


async def test_echo_reports_what_it_counted(gateway: Composed, ada: Person) -> None:
    reply = (await ada.say(None, model="echo")).json()

    entry = await only_entry(gateway, ada)
    assert (entry.provider, entry.provider_model) == ("echo", "echo")
    assert reply["usage"]["total_tokens"] == entry.usage.total_tokens > 0


async def test_a_call_that_never_was_is_no_row(gateway: Composed, ada: Person) -> None:
    await ada.ask(None, model="nope")
    await ada.ask("sess_unknown")
    await ada.ask(None, n=0)
    assert await gateway.ledger(ada) == []
