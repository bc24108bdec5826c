"""Limits of keys and users: what a client is told, and that nothing is sent, stored or used up where one refuses."""

import asyncio
from typing import Any

import httpx
import pytest
import structlog

from gateway.errors import StorageUnavailable
from gateway.ports import ClosedTurn, Store
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Json, Person, compose, refusal
from tests.redis_server import RedisServer
from tests.stubs.openai_wire import Events, Gate, OpenAIStub, chunk, chunks, completion, error
from tests.stubs.openai_wire import Json as Answer

_PATIENCE = 10.0

USED = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def limits(key: Json | None = None, user: Json | None = None, **others: Any) -> Json:
    return {"limits": {"key": key or {}, "user": user or {}, **others}}


def ratelimits(response: httpx.Response) -> Json:
    prefix = "x-ratelimit-"
    return {name.removeprefix(prefix): text for name, text in response.headers.items() if name.startswith(prefix)}


async def test_requests_a_minute_are_counted_down_and_then_refused(store: Store) -> None:
    async with compose(store, limits(key={"requests_per_minute": 2})) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        first, second = [await ada.say(session) for _ in range(2)]
        assert ratelimits(first) == {"limit-requests": "2", "remaining-requests": "1", "reset-requests": "1m1s"}
        assert ratelimits(second)["remaining-requests"] == "0"
        stored = await ada.messages(session)
        refused = await ada.ask(session)
        told = refusal(refused, 429)
        assert (told["type"], told["code"]) == ("requests", "rate_limit_exceeded")
        assert "this API key: 2 requests per minute" in told["message"]
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert ratelimits(refused)["remaining-requests"] == "0"
        assert await ada.messages(session) == stored
        assert len(gateway.stub.requests) == len(await gateway.ledger(ada)) == 2
        await (await gateway.person()).say(None)  # the limit is the key's


async def test_a_users_limit_is_shared_by_all_their_keys_and_by_nobody_else(store: Store) -> None:
    async with compose(store, limits(user={"requests_per_minute": 1})) as gateway:
        ada, bob = await gateway.person("ada"), await gateway.person("bob")
        await ada.say(None)
        told = refusal(await (await gateway.person()).ask(None), 429)
        assert "all API keys of this user together" in told["message"]
        await bob.say(None)


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_are_reserved_with_the_history_and_settled_with_what_was_used(store: Store, stream: bool) -> None:
    async with compose(store, limits(key={"tokens_per_minute": 1000})) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        first = await ada.say(session, max_tokens=900, stream=stream)
        left = int(ratelimits(first)["remaining-tokens"])
        assert 60 < left < 100, "900 for the reply, and the prompt"
        second = await ada.say(session, max_tokens=900, stream=stream)  # for the first one came to no more than 18
        assert int(ratelimits(second)["remaining-tokens"]) < left - 18, "the history is counted"
        refused = await ada.ask(session, max_tokens=920, stream=stream)
        told = refusal(refused, 429)
        assert (told["type"], told["code"]) == ("tokens", "rate_limit_exceeded")
        assert "Used or reserved: 36 tokens" in told["message"]
        assert ratelimits(refused)["remaining-tokens"] == "964"


async def test_a_refused_reservation_gives_the_request_back_and_lets_the_session_go(store: Store) -> None:
    both = {"requests_per_minute": 2, "tokens_per_minute": 100}
    async with compose(store, limits(key=both)) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        for _ in range(3):
            refused = await ada.ask(session, max_tokens=1000)
            told = refusal(refused, 429)
            assert told["message"].startswith("Request too large for this API key: the limit is 100 tokens per minute")
            assert refused.headers["x-should-retry"] == "false"
            assert "retry-after" not in refused.headers
        assert await ada.messages(session) == []
        assert await gateway.ledger(ada) == []
        assert gateway.stub.requests == []
        assert ratelimits(await ada.say(session, max_tokens=10))["remaining-requests"] == "1"


async def test_a_call_that_failed_has_used_its_request_and_nothing_else(store: Store) -> None:
    both = {"requests_per_minute": 5, "tokens_per_minute": 1000, "tokens_per_day": 1000}
    async with compose(store, limits(key=both)) as gateway:
        ada = await gateway.person()
        gateway.stub.reply_with(Answer(error("overloaded"), status=503))
        refusal(await ada.ask(None, max_tokens=900), 503)
        answered = await ada.say(None, max_tokens=900)
        assert ratelimits(answered)["remaining-requests"] == "3"


async def test_a_stream_that_breaks_off_is_settled_with_what_came(store: Store) -> None:
    async with compose(store, limits(key={"tokens_per_minute": 1000})) as gateway:
        ada = await gateway.person()
        gateway.stub.reply_with(Events(chunks("Half a", finish_reason=None, usage=None), ending="cut"))
        await ada.ask(None, max_tokens=900, stream=True)
        [row] = await gateway.ledger(ada)
        refused = await ada.ask(None, max_tokens=980)
        assert f"Used or reserved: {row.usage.total_tokens} tokens" in refusal(refused, 429)["message"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_limits_of_single_keys_in_several_workers_are_warned_of_once(store: Store, workers: int) -> None:
    async with compose(store, {"server": {"workers": workers}}) as gateway:
        admin = await gateway.person("root", admin=True)
        made = await admin.http.post("/admin/keys", json={"user": "ada", "limits": {"requests_per_minute": 9}})
        body = {"model": "echo", "messages": [{"role": "user", "content": "Hello."}]}
        with structlog.testing.capture_logs() as said:
            for _ in range(2):
                headers = {"authorization": f"Bearer {made.json()['key']}"}
                answer = await gateway.client().post("/v1/chat/completions", json=body, headers=headers)
                assert answer.status_code == 200
        assert ["each worker counts" in line["event"] for line in said if line["log_level"] == "warning"] == [True] * (
            workers - 1
        )


class ForgetfulStore(InMemoryStore):
    """Loses the first turn that is closed."""

    has_failed = False

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        if not self.has_failed:
            self.has_failed = True
            raise StorageUnavailable
        return await super().close_turn(turn)


async def test_a_reply_that_could_not_be_stored_was_paid_for_all_the_same() -> None:
    async with compose(ForgetfulStore(), limits(key={"tokens_per_minute": 1000})) as gateway:
        ada = await gateway.person()
        refusal(await ada.ask(None, max_tokens=900), 503)
        told = refusal(await ada.ask(None, max_tokens=980), 429)
        assert "Used or reserved: 18 tokens" in told["message"]


async def test_a_quota_is_a_quota_that_says_when_it_begins_anew(store: Store) -> None:
    async with compose(store, limits(user={"tokens_per_day": 100})) as gateway:
        ada = await gateway.person()
        await ada.say(None, max_tokens=80)
        refused = await ada.ask(None, max_tokens=75)
        told = refusal(refused, 429)
        assert (told["type"], told["code"]) == ("insufficient_quota", "insufficient_quota")
        assert "100 tokens per day" in told["message"]
        assert "T00:00:00Z" in told["message"]
        assert 1 <= int(refused.headers["retry-after"]) <= 86_400
        assert refused.headers["x-should-retry"] == "false"
        assert ratelimits(refused) == {}
        too_large = refusal(await ada.ask(None, max_tokens=200), 429)
        assert too_large["code"] == "insufficient_quota"
        assert too_large["message"].startswith("Request too large")


async def test_money_is_counted_at_the_models_prices(store: Store) -> None:
    async with compose(store) as unlimited:
        api_base = unlimited.stub.base_url
        prices = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.01}
        model = {"name": "dear", "model": "openai/x", "api_base": api_base, "context_window": 8000, **prices}
        settings = {**limits(key={"dollars_per_month": 0.2}), "models": [model]}
        async with compose(store, settings) as gateway:
            ada = await gateway.person()
            await ada.say(None, model="dear", max_tokens=15)
            [row] = await gateway.ledger(ada)
            assert row.cost == pytest.approx(0.081)
            told = refusal(await ada.ask(None, model="dear", max_tokens=15), 429)
            assert "$0.2 per month. Used or reserved: $0.081" in told["message"]


async def test_quotas_outlive_the_process_and_a_redis_that_forgot(store: Store, redis_server: RedisServer) -> None:
    async with compose(store, limits(key={"tokens_per_day": 100}, user={"tokens_per_month": 200})) as gateway:
        ada = await gateway.person()
        await ada.say(None, max_tokens=60)
    for storage in ("memory:", redis_server.url):
        redis_server.forget()
        async with compose(store, limits(key={"tokens_per_day": 100}, storage=storage)) as gateway:
            person = Person(gateway.client(ada.key), ada.key, ada.user_id)
            told = refusal(await person.ask(None, max_tokens=80), 429)
            assert "Used or reserved: 18 tokens" in told["message"]
        async with compose(store, limits(user={"tokens_per_month": 100}, storage=storage)) as gateway:
            told = refusal(await (await gateway.person()).ask(None, max_tokens=80), 429)
            assert "Used or reserved: 18 tokens" in told["message"]


async def test_calls_at_the_same_time_hold_slots_until_they_are_done(store: Store) -> None:
    async with compose(store, limits(key={"parallel_calls": 1})) as gateway:
        ada = await gateway.person()
        gate = Gate()
        gateway.stub.reply_with(Events([chunk({"content": "slow"}), gate, *chunks("ly")]))
        running = asyncio.create_task(ada.say(None, stream=True))
        await asyncio.to_thread(gate.wait_reached)
        refused = await ada.ask(None)
        told = refusal(refused, 429)
        assert (told["type"], told["code"], refused.headers["retry-after"]) == ("requests", "rate_limit_exceeded", "1")
        assert "1 call at the same time" in told["message"]
        gate.open()
        await running
        await ada.say(None)


async def test_the_providers_own_headers_give_way_to_the_gateways(store: Store) -> None:
    theirs = {"x-ratelimit-limit-requests": "9999", "x-ratelimit-remaining-tokens": "8888"}
    async with compose(store, limits(key={"requests_per_minute": 5})) as gateway:
        ada = await gateway.person()
        gateway.stub.reply_with(Answer(completion(), headers=theirs), Events(chunks("Hi"), headers=theirs))
        for stream in (False, True):
            told = ratelimits(await ada.say(None, stream=stream))
            assert (told["limit-requests"], told["remaining-tokens"]) == ("5", "8888")


async def test_limits_are_counted_in_the_metrics(store: Store) -> None:
    async with compose(store, limits(key={"requests_per_minute": 1})) as gateway:
        ada, admin = await gateway.person(), await gateway.person("root", admin=True)
        await ada.say(None)
        await ada.ask(None)
        assert (
            'gateway_limited_total{limit="requests_per_minute",of="key"} 1.0' in (await admin.http.get("/metrics")).text
        )


async def test_without_redis_calls_of_callers_with_limits_are_refused_or_go_through(
    store: Store,
) -> None:
    key = {"requests_per_minute": 5, "tokens_per_minute": 50_000, "tokens_per_day": 50_000, "parallel_calls": 3}
    for policy, status in (("deny", 503), ("allow", 200)):
        gone = limits(key=key, storage="redis://127.0.0.1:1/0", on_unavailable=policy)
        async with compose(store, gone) as gateway:
            answer = await (await gateway.person()).ask(None)
            assert answer.status_code == status
            if status == 503:
                assert refusal(answer, 503)["code"] == "limits_unavailable"
                assert answer.headers["retry-after"] == "1"
                assert gateway.stub.requests == []
            else:
                assert ratelimits(answer) == {}
    async with compose(store, {"limits": {"storage": "redis://127.0.0.1:1/0"}}) as gateway:
        await (await gateway.person()).say(None)  # without limits nobody needs it


async def test_a_redis_that_dies_during_a_call_costs_nobody_the_reply(store: Store, redis_server: RedisServer) -> None:
    key = {"requests_per_minute": 5, "tokens_per_minute": 5000, "parallel_calls": 1}
    async with compose(store, limits(key=key, storage=redis_server.url)) as gateway:
        ada = await gateway.person()
        gate = Gate()
        gateway.stub.reply_with(Events([chunk({"content": "slow"}), gate, *chunks("ly")]))
        running = asyncio.create_task(ada.say(None, stream=True))
        await asyncio.to_thread(gate.wait_reached)
        redis_server.kill()
        try:
            gate.open()
            assert (await running).text.endswith("data: [DONE]\n\n")
            refusal(await ada.ask(None), 503)
        finally:
            redis_server.start()
        await ada.say(None)


async def test_what_is_learnt_of_one_of_several_deployments_is_reserved_for_it(store: Store) -> None:
    most, used = 10**9, {**USED, "prompt_tokens": 6000}
    async with OpenAIStub() as stub:
        part = {"name": "a", "model": "openai/x", "api_base": stub.base_url, "context_window": 100_000}
        models = [{"name": "fast", "deployments": [part]}]
        async with compose(store, {**limits(key={"tokens_per_minute": most}), "models": models}) as gateway:
            ada = await gateway.person()
            reserved = []
            for calls in range(8):
                stub.reply_with(Answer(completion(usage=used)))
                answer = await ada.say(None, "word " * 2000, max_tokens=1)
                before = most - calls * (6000 + USED["completion_tokens"])
                reserved.append(before - int(ratelimits(answer)["remaining-tokens"]))
    assert reserved[-1] > 2 * reserved[0]


async def test_the_highest_limits_can_be_counted_in_redis(store: Store, redis_server: RedisServer) -> None:
    highest = dict.fromkeys(("tokens_per_minute", "tokens_per_day", "dollars_per_day", "dollars_per_month"), 10**15)
    async with compose(store, limits(user={"tokens_per_day": 10**30}, storage=redis_server.url)) as gateway:
        admin = await gateway.person("root", admin=True)
        made = (await admin.http.post("/admin/keys", json={"user": "ada", "limits": highest})).json()
        ada = Person(gateway.client(made["key"]), made["key"], made["user_id"])
        await ada.say(None)
        refusal(await ada.ask(None, max_tokens=2**62), 429)
        await ada.say(None)
