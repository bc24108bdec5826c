"""GET /metrics: for admins, or for all if that is set, and without anything that a user could be told by."""

import asyncio
import subprocess
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.ports import Store
from tests.api.composed import Composed, Person, compose, refusal
from tests.stubs.openai_wire import Events, Gate, Json, OpenAIStub, chunks, error
from tests.system_tools import system_tool


async def test_prometheus_needs_an_admins_key(gateway: Composed) -> None:
    ada, admin = await gateway.person("ada"), await gateway.person("root", admin=True)
    refusal(await gateway.client().get("/metrics"), 401)
    refusal(await ada.http.get("/metrics"), 403)
    response = await admin.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_turns_and_requests_show_without_who_and_where(gateway: Composed) -> None:
    ada, admin = await gateway.person("ada"), await gateway.person("root", admin=True)
    session = await ada.new_session()
    await ada.say(session, "Good morning.")
    await ada.http.get(f"/chat/sessions/{session}")
    await ada.http.get("/somewhere/else")
    text = (await admin.http.get("/metrics")).text
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "gateway_requests_total"
    }
    assert counted == {
        ("POST", "/chat/sessions", "201"): 1,
        ("POST", "/v1/chat/completions", "200"): 1,
        ("GET", "/chat/sessions/{session_id}", "200"): 1,
        ("GET", "unknown", "404"): 1,
    }
    assert 'gateway_turns_total{model="fast",provider="openai",status="complete",stream="false"} 1.0' in text
    assert "gateway_requests_in_flight 1.0" in text  # this one
    for secret in (session, ada.user_id, ada.key, "ada", "Good morning"):
        assert secret not in text


async def test_without_a_key_only_if_the_settings_say_so(store: Store) -> None:
    async with compose(store, {"metrics": {"public": True}}) as gateway:
        response = await gateway.client().get("/metrics")
        assert response.status_code == 200
        assert "gateway_requests_in_flight 1.0" in response.text
        document = (await gateway.client().get("/openapi.json")).json()
        assert document["paths"]["/metrics"]["get"]["security"] == []
        refusal(await gateway.client().get("/admin/keys"), 401)


async def test_a_turn_leaves_its_phases_and_where_its_window_came_from(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    for _ in range(3):
        await ada.say(session)
    await ada.say(None)
    told = await samples(gateway)
    phases = {labels["phase"]: value for labels, value in told["gateway_turn_phase_seconds_count"]}
    assert phases == {"auth": 4, "read": 4, "claim": 3, "open": 3, "window": 4, "provider": 4, "close": 4}
    assert all(value > 0 for _, value in told["gateway_turn_phase_seconds_sum"])
    lookups = {labels["result"]: value for labels, value in told["gateway_window_cache_lookups_total"]}
    assert lookups == {"hit": 2, "miss": 1}
    assert told["gateway_lock_wait_seconds_count"] == [({}, 0)]
    assert told["gateway_window_cache_entries"] == [({}, 1)]


async def test_the_phases_add_up_to_the_overhead_and_the_provider(gateway: Composed, ada: Person) -> None:
    await ada.say(await ada.new_session())
    [entry] = await gateway.ledger(ada)
    told = await samples(gateway)
    phases = {labels["phase"]: value for labels, value in told["gateway_turn_phase_seconds_sum"]}
    assert entry.overhead_ms is not None
    assert sum(phases.values()) - phases["provider"] == pytest.approx(
        entry.overhead_ms / 1000, abs=phases["close"] + phases["provider"]
    )


async def test_what_is_left_out_of_a_window_is_counted_in_messages_and_tokens(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session(max_history_messages=2)
    for _ in range(3):
        await ada.say(session)
    _, second, third = sorted(await gateway.ledger(ada), key=lambda entry: entry.created_at)
    told = await samples(gateway)
    messages = {labels["fate"]: value for labels, value in told["gateway_history_messages_total"]}
    assert messages == {"injected": 4, "trimmed": 2}
    assert second.history_tokens == third.history_tokens > 0  # the same words in each turn
    assert told["gateway_history_tokens_total"] == [({}, 2 * second.history_tokens)]
    assert told["gateway_history_trimmed_tokens_total"] == [({}, second.history_tokens)]


async def test_a_turn_that_waits_for_another_is_in_line_and_then_counted(gateway: Composed, ada: Person) -> None:
    session, gate = await ada.new_session(), Gate()
    gateway.stub.reply_with(Events([*chunks("One."), gate]))
    first = asyncio.create_task(ada.ask(session, stream=True))
    assert await gate.reached()
    second = asyncio.create_task(ada.ask(session))
    async with asyncio.timeout(10):
        while (await samples(gateway))["gateway_turns_in_line"] != [({}, 1)]:  # noqa: ASYNC110 - a gauge has no event
            await asyncio.sleep(0.001)
    gate.open()
    await asyncio.gather(first, second)
    told = await samples(gateway)
    assert told["gateway_turns_in_line"] == [({}, 0)]
    assert told["gateway_lock_wait_seconds_count"] == [({}, 1)]
    assert told["gateway_lock_wait_seconds_sum"][0][1] > 0


async def test_users_have_names_where_that_is_asked_for(store: Store) -> None:
    async with compose(store, {"metrics": {"user_labels": 1}}) as gateway:
        for name in ("ada", "bob"):
            await (await gateway.person(name)).say(None)
        told = await samples(gateway)
    turns = [(labels["user"], labels["status"], value) for labels, value in told["gateway_user_turns_total"]]
    assert turns == [("ada", "complete", 1), ("other", "complete", 1)]


async def test_names_and_units_are_what_prometheus_asks_for(store: Store) -> None:
    """By its own linter, which says nothing of what is in order."""
    async with compose(store, {"metrics": {"user_labels": 1}}) as gateway:
        ada, admin = await gateway.person("ada"), await gateway.person("root", admin=True)
        await ada.say(await ada.new_session())
        told = (await admin.http.get("/metrics")).text
    promtool = [system_tool("promtool", package="prometheus"), "check", "metrics"]
    linted = await asyncio.to_thread(subprocess.run, promtool, input=told.encode(), capture_output=True, check=False)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, b"")


async def test_clients_do_not_decide_how_many_models_are_told(store: Store) -> None:
    """Under "*" they may name any, and what its provider refuses is a turn in the ledger all the same."""
    async with OpenAIStub() as stub:
        models = [{"name": "*", "model": "*", "api_base": stub.base_url}, {"name": "echo", "model": "echo"}]
        async with compose(store, {"models": models}, environ={"OPENAI_API_KEY": "sk-provider-secret"}) as gateway:
            ada = await gateway.person("ada")
            for number in range(103):
                stub.reply_with(Json(error("no such model", code="model_not_found"), status=404))
                refusal(await ada.ask(None, model=f"openai/no-such-{number}"), 404)
            await ada.say(None, model="echo")
            told = await samples(gateway)
    turns = {labels["model"]: value for labels, value in told["gateway_turns_total"]}
    assert len(turns) == 100 + 2
    assert (turns["other"], turns["echo"]) == (3, 1)


Samples = dict[str, list[tuple[dict[str, str], float]]]


async def samples(gateway: Composed) -> Samples:
    """What an admin is told, by name."""
    admin = await gateway.person(f"admin-{uuid4().hex}", admin=True)
    found: Samples = {}
    for family in text_string_to_metric_families((await admin.http.get("/metrics")).text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found
