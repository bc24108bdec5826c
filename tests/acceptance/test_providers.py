"""Each way to a provider through a whole gateway: history reaches the wire, usage and cost the ledger's table."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import openai
import pytest

from tests.acceptance.conversation import Person, assistant, person_at, text_of, user
from tests.acceptance.process import GatewayProcess
from tests.stubs.anthropic_wire import AnthropicStub, message, message_events, text_block, text_events
from tests.stubs.openai_wire import Events, Json, OpenAIStub, chunks, completion, run_in_thread

KEY = "sk-from-the-environment"


@pytest.fixture(scope="module")
def openai_stub() -> Iterator[OpenAIStub]:
    with run_in_thread(OpenAIStub()) as stub:
        yield stub


@pytest.fixture(scope="module")
def anthropic_stub() -> Iterator[AnthropicStub]:
    with run_in_thread(AnthropicStub()) as stub:
        yield stub


@pytest.fixture(scope="module")
def many(
    openai_stub: OpenAIStub, anthropic_stub: AnthropicStub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstream = {"model": "openai/gpt-4o-mini", "api_base": openai_stub.base_url, "api_key": "sk-configured"}
    claude = {"model": "anthropic/claude-sonnet-4-5", "api_base": anthropic_stub.base_url, "api_key": "sk-ant-x"}
    models = [
        {"name": "direct", **upstream},
        {"name": "through-litellm", **upstream, "via": "litellm"},
        {"name": "claude", **claude},
        {"name": "echo", "model": "echo"},
        {"name": "*", "model": "*"},
    ]
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai_stub.base_url}
    with GatewayProcess(tmp_path_factory.mktemp("many"), {"models": models}, environ) as process:
        yield process


@pytest.fixture(scope="module")
def person(many: GatewayProcess) -> Iterator[Person]:
    with person_at(many) as somebody:
        yield somebody


@pytest.fixture(autouse=True)
def _fresh(openai_stub: OpenAIStub, anthropic_stub: AnthropicStub) -> None:
    openai_stub.requests.clear()
    anthropic_stub.requests.clear()


def rows(gateway: GatewayProcess, session: str) -> list[dict[str, Any]]:
    """The session's part of the ledger, as the table holds it."""
    with closing(sqlite3.connect(gateway.directory / "data" / "gateway.db")) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM turns WHERE session_id = ? ORDER BY created_at", [session])
        return [dict(row) for row in found]


def answer(person: Person, session: str | None, text: str, model: str, *, stream: bool) -> str | None:
    if stream:
        return text_of(person.stream(session, text, model=model))
    return person.say(session, text, model=model).choices[0].message.content


# ── three ways ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["direct", "through-litellm"])
def test_openais_wire(many: GatewayProcess, openai_stub: OpenAIStub, person: Person, model: str, stream: bool) -> None:
    session = person.new_session()
    hello = Events(chunks("Hello, ", "Ada.")) if stream else Json(completion("Hello, Ada."))
    openai_stub.reply_with(hello)

    assert answer(person, session, "My name is Ada.", model, stream=stream) == "Hello, Ada."
    answer(person, session, "Who am I?", model, stream=stream)

    first, second = [request.body["messages"] for request in openai_stub.requests]
    assert first == [user("My name is Ada.")]
    assert (second[0], second[2]) == (user("My name is Ada."), user("Who am I?"))
    assert {"role": "assistant", "content": "Hello, Ada."}.items() <= second[1].items()
    assert {request.headers["authorization"] for request in openai_stub.requests} == {"Bearer sk-configured"}
    assert {request.body["model"] for request in openai_stub.requests} == {"gpt-4o-mini"}
    for row in rows(many, session):
        assert (row["model"], row["provider"], row["status"], row["stream"]) == (model, "openai", "complete", stream)
        assert (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]) == (11, 7, 4)
        assert (row["usage_estimated"], row["finish_reason"]) == (False, "stop")
        # by litellm's map: 7 fresh tokens and 4 cached ones of the prompt, 7 of the reply
        assert row["cost"] == pytest.approx(7 * 0.15e-6 + 4 * 0.075e-6 + 7 * 0.6e-6)
        assert row["latency_ms"] > 0
        assert row["overhead_ms"] > 0
        assert (row["ttft_ms"] is not None) == stream
    assert [row["history_messages"] for row in rows(many, session)] == [0, 2]
    assert rows(many, session)[1]["history_tokens"] == sum(each["tokens"] for each in person.stored(session)[:2])


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_wire(many: GatewayProcess, anthropic_stub: AnthropicStub, person: Person, stream: bool) -> None:
    session = person.new_session(system_prompt="Be brief.")
    anthropic_stub.reply_with(
        Events(message_events(text_events("Hello, ", "Ada."))) if stream else Json(message(text_block("Hello, Ada.")))
    )

    assert answer(person, session, "My name is Ada.", "claude", stream=stream) == "Hello, Ada."
    answer(person, session, "Who am I?", "claude", stream=stream)

    sent = anthropic_stub.requests[1].body
    said = [(each["role"], _text(each["content"])) for each in sent["messages"]]
    assert said == [("user", "My name is Ada."), ("assistant", "Hello, Ada."), ("user", "Who am I?")]
    assert _text(sent["system"]) == "Be brief."
    assert anthropic_stub.requests[1].headers["x-api-key"] == "sk-ant-x"
    for row in rows(many, session):
        assert (row["model"], row["provider"], row["status"]) == ("claude", "anthropic", "complete")
        assert (row["prompt_tokens"], row["completion_tokens"], row["usage_estimated"]) == (11, 7, False)
        assert row["cost"] == pytest.approx(11 * 3e-6 + 7 * 15e-6)
        assert (row["ttft_ms"] is not None) == stream
    assert [(each["role"], each["content"]) for each in person.stored(session)[:2]] == said[:2]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def test_one_session_over_every_provider(
    many: GatewayProcess, openai_stub: OpenAIStub, anthropic_stub: AnthropicStub, person: Person
) -> None:
    session = person.new_session()
    for number, model in enumerate(["direct", "claude", "through-litellm", "echo"]):
        person.say(session, f"question {number}", model=model)

    assert len(anthropic_stub.requests[0].body["messages"]) == 3
    assert len(openai_stub.requests[1].body["messages"]) == 5
    assert "You sent 7 messages" in person.stored(session)[-1]["content"]
    assert [row["provider"] for row in rows(many, session)] == ["openai", "anthropic", "openai", "echo"]


def test_echo_costs_nothing_that_is_known(many: GatewayProcess, person: Person) -> None:
    session = person.new_session()
    reply = person.say(session, "Hello.", model="echo")
    [row] = rows(many, session)
    assert reply.usage is not None
    used = (row["prompt_tokens"], row["completion_tokens"])
    assert used == (reply.usage.prompt_tokens, reply.usage.completion_tokens)
    assert (row["cost"], row["provider"], row["provider_model"]) == (None, "echo", "echo")


def test_a_call_without_a_session_is_in_the_ledger_too(
    many: GatewayProcess, openai_stub: OpenAIStub, person: Person
) -> None:
    response = person.http.post("/v1/chat/completions", json=person.body(None, "Hello.", model="direct"))
    with closing(sqlite3.connect(many.directory / "data" / "gateway.db")) as database:
        found = database.execute(
            "SELECT session_id, status, prompt_tokens FROM turns WHERE request_id = ?",
            [response.headers["x-request-id"]],
        ).fetchall()
    assert found == [(None, "complete", 11)]
    assert openai_stub.requests[0].body["messages"] == [user("Hello.")]


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_any_id_whose_providers_key_is_in_the_environment(
    many: GatewayProcess, openai_stub: OpenAIStub, person: Person, name: str
) -> None:
    session = person.new_session(model=name)
    openai_stub.reply_with(Json(completion("Hello.")))
    person.say(session, "Hi.", model=name)
    person.say(session, "Hi again.", model=name)

    assert openai_stub.requests[1].body["messages"] == [user("Hi."), assistant("Hello."), user("Hi again.")]
    assert {request.headers["authorization"] for request in openai_stub.requests} == {f"Bearer {KEY}"}
    assert {request.body["model"] for request in openai_stub.requests} == {"gpt-4o-mini"}
    assert {(row["model"], row["provider_model"]) for row in rows(many, session)} == {(name, "gpt-4o-mini")}


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("groq/llama-3.3-70b-versatile", "GROQ_API_KEY"),
        ("claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("hosted_vllm/llama", "HOSTED_VLLM_API_BASE"),
    ],
)
def test_an_id_whose_providers_key_is_not_there(person: Person, name: str, variable: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        person.say(None, "Hi.", model=name)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert variable in str(caught.value)


def test_models_are_listed(person: Person) -> None:
    owners = {model.id: model.owned_by for model in person.sdk.models.list()}
    assert owners == {"direct": "openai", "through-litellm": "openai", "claude": "anthropic", "echo": "echo"}
    assert person.sdk.models.retrieve("gpt-4o-mini").owned_by == "openai"
