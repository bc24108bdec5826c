"""Deployments that fail, as the clients of the gateway see it: not at all, as long as another one answers."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.acceptance.conversation import Person, beginning, person_at, sent, text_of, user
from tests.acceptance.process import GatewayProcess, settings_for
from tests.stubs.openai_wire import Events, Gate, Json, OpenAIStub, error, run_in_thread


@pytest.fixture
def down() -> Iterator[str]:
    """The base URL of a provider that is down: its port is bound, and never listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


def routed(stub: OpenAIStub, down: str) -> dict[str, Any]:
    """`fast` at two places, of which the one with nearly all the weight is down; `alone` has another model instead."""
    model = {"model": "openai/gpt-4o-mini", "api_key": "sk-provider"}
    deployments = [
        {"name": "east", **model, "api_base": down, "weight": 1000},
        {"name": "west", **model, "api_base": stub.base_url, "weight": 0.001},
    ]
    models = [
        {"name": "fast", "deployments": deployments},
        {"name": "alone", **model, "api_base": down, "fallbacks": ["other"]},
        {"name": "other", **model, "api_base": stub.base_url},
        {"name": "busy", **model, "api_base": stub.base_url},
    ]
    return settings_for(stub, models=models, routing={"backoff": 0.01})


@pytest.fixture
def stand_in() -> Iterator[OpenAIStub]:
    with run_in_thread(OpenAIStub()) as stub:
        yield stub


@pytest.fixture
def place(stand_in: OpenAIStub, down: str, tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path, routed(stand_in, down)) as process:
        yield process


@pytest.fixture
def ada(place: GatewayProcess) -> Iterator[Person]:
    with person_at(place) as person:
        yield person


def log_lines(place: GatewayProcess, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in place.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


@pytest.mark.parametrize("model", ["fast", "alone"])
def test_a_conversation_goes_on_although_the_first_provider_is_down(
    ada: Person, stand_in: OpenAIStub, model: str
) -> None:
    session = ada.new_session()

    whole = ada.say(session, "My name is Ada.", model=model)
    streamed = text_of(ada.stream(session, "What is my name?", model=model))

    assert whole.choices[0].message.content
    assert streamed
    assert sent(stand_in)[1][0] == user("My name is Ada.")
    assert len(sent(stand_in)[1]) == 3
    said = [(message["role"], message["content"], message["status"]) for message in ada.stored(session)]
    assert said == [
        ("user", "My name is Ada.", "complete"),
        ("assistant", whole.choices[0].message.content, "complete"),
        ("user", "What is my name?", "complete"),
        ("assistant", streamed, "complete"),
    ]


def test_failed_attempts_are_told_by_request_and_without_content(place: GatewayProcess, ada: Person) -> None:
    reply = ada.sdk.chat.completions.with_raw_response.create(
        model="alone", messages=[{"role": "user", "content": "A secret."}]
    )
    assert reply.headers["x-gateway-model"] == "other"
    told = log_lines(place, "provider attempt failed")
    assert [line["attempt"] for line in told] == [1, 2, 3]
    assert {line["request_id"] for line in told} == {reply.headers["x-request-id"]}
    assert {(line["model"], line["deployment"], line["status"], line["error"]) for line in told} == {
        ("alone", "alone", 502, "provider_unavailable")
    }
    assert "A secret." not in place.log
    assert [line["deployment"] for line in log_lines(place, "deployment cools down")] == ["alone"]


def test_a_stream_that_its_client_leaves_was_an_answer_of_its_deployment(
    place: GatewayProcess, ada: Person, stand_in: OpenAIStub
) -> None:
    session, gate = ada.new_session(), Gate()
    fails = Json(error("Out of order."), status=500, headers={"x-should-retry": "false"})
    stand_in.reply_with(fails, fails, Events([*beginning("Half "), gate]), fails)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            ada.say(None, "Hello?", model="busy")
    with ada.stream(session, "Hello?", model="busy") as reply:
        next(reply)
        gate.wait_reached()
    assert stand_in.requests[2].wait_client_gone(1.0)
    with pytest.raises(openai.InternalServerError):
        ada.say(session, "Hello?", model="busy")
    assert log_lines(place, "deployment cools down") == []


def test_a_client_that_leaves_in_a_pause_ends_the_turn(ada: Person, stand_in: OpenAIStub) -> None:
    session = ada.new_session()
    stand_in.reply_with(Json(error("Slow down."), status=429, headers={"retry-after": "9"}))

    with pytest.raises(openai.APITimeoutError):
        ada.sdk.with_options(timeout=0.7).chat.completions.create(
            model="busy", messages=[{"role": "user", "content": "Hello?"}], extra_body={"session_id": session}
        )

    deadline = time.monotonic() + 5
    while not ada.statuses(session):
        assert time.monotonic() < deadline, "the turn did not end with its client"
        time.sleep(0.02)
    assert ada.statuses(session) == [("user", "failed")]
    assert len(stand_in.requests) == 1
