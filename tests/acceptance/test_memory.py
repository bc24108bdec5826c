"""A session remembers: over turns, over restarts, over crashes, and nothing that it should not."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from tests.acceptance.conversation import (
    Message,
    Person,
    assistant,
    beginning,
    person_at,
    says,
    sent,
    system,
    text_of,
    user,
)
from tests.acceptance.process import GatewayProcess, settings_for
from tests.stubs.openai_wire import Events, Gate, Json, OpenAIStub, chunk, error, usage_chunk

# ── where the session comes from ─────────────────────────────────────────────────────────────────────────────────


def test_a_session_named_in_the_body_remembers(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says("Hello, Ada."), says("You are Ada."), says("As I said: Ada."))

    replies = [person.say(session, text) for text in ("My name is Ada.", "Who am I?", "Who?")]

    assert [reply.choices[0].message.content for reply in replies] == [
        "Hello, Ada.",
        "You are Ada.",
        "As I said: Ada.",
    ]
    first = [user("My name is Ada."), assistant("Hello, Ada.")]
    second = [user("Who am I?"), assistant("You are Ada.")]
    assert sent(stub) == [first[:1], [*first, second[0]], [*first, *second, user("Who?")]]


def test_a_session_named_in_the_header_remembers(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    header = {"X-Session-Id": session}
    stub.reply_with(says("Hello, Ada."))

    person.say(None, "My name is Ada.", extra_headers=header)
    person.say(None, "Who am I?", extra_headers=header)

    assert sent(stub)[1] == [user("My name is Ada."), assistant("Hello, Ada."), user("Who am I?")]


def test_the_body_wins_over_the_header(stub: OpenAIStub, person: Person) -> None:
    named, ignored = person.new_session(), person.new_session()

    person.say(named, "My name is Ada.", extra_headers={"X-Session-Id": ignored})

    assert person.stored(named)[0]["content"] == "My name is Ada."
    assert person.stored(ignored) == []
    assert len(stub.requests) == 1


def test_a_stateless_call_remembers_nothing(stub: OpenAIStub, person: Person) -> None:
    person.say(None, "My name is Ada.")
    person.say(None, "Who am I?")

    assert sent(stub) == [[user("My name is Ada.")], [user("Who am I?")]]
    assert person.http.get("/chat/sessions").json()["data"] == []


def test_the_session_is_the_gateways_matter_alone(stub: OpenAIStub, person: Person) -> None:
    person.say(person.new_session(), "Hello.", extra_body={"max_history_messages": 4})

    assert {"session_id", "max_history_messages"}.isdisjoint(stub.requests[0].body)


def test_headers_say_what_was_remembered(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    person.say(session, "My name is Ada.")

    reply = person.sdk.chat.completions.with_raw_response.create(
        model="fast", messages=[{"role": "user", "content": "Who am I?"}], extra_body={"session_id": session}
    )

    stored = person.stored(session)
    assert len(stub.requests) == 2
    assert reply.headers["x-session-id"] == session
    assert reply.headers["x-history-messages"] == "2"
    assert int(reply.headers["x-history-tokens"]) == stored[0]["tokens"] + stored[1]["tokens"]
    assert reply.headers["x-history-trimmed"] == "0"
    assert float(reply.headers["x-gateway-overhead-ms"]) > 0
    assert reply.headers["x-request-id"]


# ── restarts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_memory_outlives_a_restart(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, settings_for(stub)) as gateway, person_at(gateway) as person:
        session = person.new_session()
        stub.reply_with(says("Hello, Ada."))
        person.say(session, system("Be brief."), "My name is Ada.")

        assert gateway.stop() == 0
        gateway.start()
        person.say(session, "Who am I?")

    window = [system("Be brief."), user("My name is Ada."), assistant("Hello, Ada."), user("Who am I?")]
    assert sent(stub)[1] == window


def test_what_was_answered_outlives_a_crash(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, settings_for(stub)) as gateway, person_at(gateway) as person:
        session = person.new_session()
        remembered: list[Message] = []
        for turn in range(4):
            stub.reply_with(says(f"Reply {turn}."))
            person.http.post("/v1/chat/completions", json=person.body(session, f"Question {turn}?"))
            gateway.kill()
            gateway.start()
            remembered += [user(f"Question {turn}?"), assistant(f"Reply {turn}.")]
            assert [(message["role"], message["content"]) for message in person.stored(session)] == [
                (message["role"], message["content"]) for message in remembered
            ]
        person.say(session, "And now?")

    assert sent(stub)[-1] == [*remembered, user("And now?")]


def test_what_was_streamed_to_its_end_outlives_a_crash(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, settings_for(stub)) as gateway, person_at(gateway) as person:
        session = person.new_session()
        for turn in range(3):
            with person.http.stream(
                "POST", "/v1/chat/completions", json=person.body(session, f"Question {turn}?", stream=True)
            ) as response:
                body = b""
                for piece in response.iter_raw():
                    body += piece
                    if body.endswith(b"data: [DONE]\n\n"):
                        gateway.kill()  # the chunk that ends the body may still be on its way
                        break
            gateway.start()
            assert person.statuses(session) == [("user", "complete"), ("assistant", "complete")] * (turn + 1)


# ── instructions ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_instructions_are_pinned_until_others_replace_them(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session(max_history_messages=2)
    stub.reply_with(*[says("Yes.")] * 5)

    person.say(session, system("Be brief."), "One?")
    person.say(session, "Two?")
    person.say(session, "Three?")
    person.say(session, system("Be kind."), "Four?")
    person.say(session, "Five?")

    yes = assistant("Yes.")
    assert sent(stub) == [
        [system("Be brief."), user("One?")],
        [system("Be brief."), user("One?"), yes, user("Two?")],
        [system("Be brief."), user("Two?"), yes, user("Three?")],
        [system("Be kind."), user("Three?"), yes, user("Four?")],
        [system("Be kind."), user("Four?"), yes, user("Five?")],
    ]
    assert person.http.get(f"/chat/sessions/{session}").json()["system_prompt"] == "Be kind."


def test_a_session_can_be_created_with_a_system_prompt(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session(system_prompt="Be brief.")

    person.say(session, "One?")
    person.say(session, "Two?")

    assert [window[0] for window in sent(stub)] == [system("Be brief.")] * 2
    assert [message["role"] for message in person.stored(session)] == ["user", "assistant"] * 2


def test_developer_messages_are_instructions_too(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    pinned = [{"role": "developer", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}]

    person.say(session, *pinned, "One?")
    person.say(session, "Two?")

    assert sent(stub)[0] == [*pinned, user("One?")]
    assert sent(stub)[1][:2] == pinned


def test_instructions_of_a_call_that_failed_are_not_pinned(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session(system_prompt="Be brief.")
    stub.reply_with(Json(error("down"), status=500))

    with pytest.raises(openai.InternalServerError):
        person.say(session, system("Be rude."), "One?")
    person.say(session, "One?")

    assert sent(stub)[1] == [system("Be brief."), user("One?")]


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_that_failed_is_not_remembered(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says("Hello."), Json(error("The model is overloaded."), status=500), says("I am well."))

    person.say(session, "Hello?")
    with pytest.raises(openai.InternalServerError, match="overloaded"):
        person.say(session, "How are you?")
    person.say(session, "How are you?")
    person.say(session, "Good.")

    before = [user("Hello?"), assistant("Hello.")]
    assert sent(stub)[2] == [*before, user("How are you?")]
    assert sent(stub)[3] == [*before, user("How are you?"), assistant("I am well."), user("Good.")]
    assert person.statuses(session)[2:4] == [("user", "failed"), ("user", "complete")]


# ── several at once ──────────────────────────────────────────────────────────────────────────────────────────────


def test_two_calls_at_once_are_served_one_after_the_other(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    gate = Gate()
    end = [chunk({"content": "Ada."}), chunk({}, finish_reason="stop"), usage_chunk()]
    stub.reply_with(Events([*beginning("Hello, "), gate, *end]), says("You are Ada."))

    with ThreadPoolExecutor() as pool:
        first = pool.submit(lambda: text_of(person.stream(session, "My name is Ada.")))
        assert gate.wait_reached()
        second = pool.submit(person.say, session, "Who am I?")
        elsewhere = person.say(None, "Is anybody held up by them?", model="echo")
        assert len(stub.requests) == 1
        gate.open()
        assert first.result() == "Hello, Ada."
        assert second.result().choices[0].message.content == "You are Ada."

    assert elsewhere.choices[0].finish_reason == "stop"
    texts = [message["content"] for message in sent(stub)[1]]
    assert texts == ["My name is Ada.", "Hello, Ada.", "Who am I?"]


def test_two_sessions_do_not_wait_for_each_other(stub: OpenAIStub, person: Person) -> None:
    gate = Gate()
    stub.reply_with(Events([*beginning("Wait"), gate, chunk({}, finish_reason="stop")]), says("At once."))

    with person.stream(person.new_session(), "Slowly.") as slow:
        assert gate.wait_reached()
        assert person.say(person.new_session(), "Quickly.").choices[0].message.content == "At once."
        gate.open()
        assert text_of(slow) == "Wait"


def test_a_turn_that_waits_too_long_is_a_conflict(stub: OpenAIStub, tmp_path: Path) -> None:
    settings = settings_for(stub, sessions={"lock_timeout": 0.2})
    gate = Gate()
    stub.reply_with(Events([*beginning("Wait"), gate, chunk({}, finish_reason="stop")]))

    with GatewayProcess(tmp_path, settings) as gateway, person_at(gateway) as person:
        session = person.new_session()
        with person.stream(session, "Slowly.") as slow:
            assert gate.wait_reached()
            with pytest.raises(openai.ConflictError) as refused:
                person.say(session, "Quickly.")
            gate.open()
            assert text_of(slow) == "Wait"
        person.say(session, "Now?")

    assert refused.value.code == "session_locked"
    assert int(refused.value.response.headers["retry-after"]) >= 1
    assert [message["content"] for message in sent(stub)[1]] == ["Slowly.", "Wait", "Now?"]


# ── sessions that nobody created ─────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_session_is_not_found(stub: OpenAIStub, person: Person) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        person.say("sess_unknown", "Hello?")

    assert refused.value.code == "session_not_found"
    assert stub.requests == []


def test_auto_create_makes_the_callers_session(stub: OpenAIStub, tmp_path: Path) -> None:
    settings = settings_for(stub, sessions={"auto_create": True})
    with (
        GatewayProcess(tmp_path, settings) as gateway,
        person_at(gateway) as ada,
        person_at(gateway, "admin") as eve,
    ):
        stub.reply_with(says("Hello, Ada."))
        ada.say("ada:chat.1", "My name is Ada.")
        ada.say("ada:chat.1", "Who am I?")
        with pytest.raises(openai.NotFoundError):
            eve.say("ada:chat.1", "Who is she?")
        with pytest.raises(openai.BadRequestError) as illegal:
            ada.say("ada/chat", "Hello?")
        sessions = ada.http.get("/chat/sessions").json()["data"]

    assert sent(stub) == [
        [user("My name is Ada.")],
        [user("My name is Ada."), assistant("Hello, Ada."), user("Who am I?")],
    ]
    assert illegal.value.param == "session_id"
    assert [session["session_id"] for session in sessions] == ["ada:chat.1"]
