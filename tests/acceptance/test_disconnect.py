"""Clients that leave: their provider's call is given up, or brought to its end, and what arrived is never lost."""

import socket
from pathlib import Path

import orjson
import pytest

from tests.acceptance.conversation import Announced, Person, beginning, person_at, sent, streamed, user
from tests.acceptance.process import GatewayProcess, settings_for
from tests.stubs.openai_wire import Events, Gate, Hang, OpenAIStub, chunk, usage_chunk

END = [chunk({"content": "whole."}), chunk({}, finish_reason="stop"), usage_chunk()]


def test_leaving_a_stream_closes_the_providers(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    gate = Gate()
    stub.reply_with(Events([*beginning("Half "), gate, *END]))

    leave_in_the_middle(person, session, gate)

    assert stub.requests[0].wait_client_gone(1.0)
    person.say(session, "Go on.")
    assert sent(stub)[1] == [user("Talk."), streamed("Half "), user("Go on.")]
    incomplete, complete = ("user", "incomplete"), ("user", "complete")
    assert person.statuses(session) == [
        incomplete,
        ("assistant", "incomplete"),
        complete,
        ("assistant", "complete"),
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status_sent", [False, True])
def test_leaving_before_any_reply_closes_the_providers_call(
    stub: OpenAIStub, gateway: GatewayProcess, person: Person, stream: bool, status_sent: bool
) -> None:
    session = person.new_session()
    asked = Announced(Hang(status_sent))
    stub.reply_with(asked)

    with asking(gateway, person, session, stream=stream):
        asked.wait()

    assert stub.requests[0].wait_client_gone(1.0)
    person.say(session, "Now?")
    assert sent(stub)[1] == [user("Now?")]
    assert person.statuses(session)[0] == ("user", "failed")


def test_leaving_while_waiting_for_the_session_calls_no_provider(
    stub: OpenAIStub, gateway: GatewayProcess, person: Person
) -> None:
    session = person.new_session()
    gate = Gate()
    stub.reply_with(Events([*beginning("Half "), gate, *END]))

    with person.stream(session, "First.") as first:
        assert gate.wait_reached()
        with asking(gateway, person, session, stream=False):
            person.say(None, "Is the other call in?", model="echo")
        person.say(None, "Has it left?", model="echo")
        gate.open()
        list(first)
    person.say(session, "Third.")

    assert [window[-1]["content"] for window in sent(stub)] == ["First.", "Third."]
    assert [message["content"] for message in person.stored(session) if message["role"] == "user"] == [
        "First.",
        "Third.",
    ]


def test_a_reply_can_be_completed_without_its_client(stub: OpenAIStub, tmp_path: Path) -> None:
    settings = settings_for(stub, sessions={"on_disconnect": "complete"})
    gate = Gate()
    stub.reply_with(Events([*beginning("Half "), gate, *END]))

    with GatewayProcess(tmp_path, settings) as gateway, person_at(gateway) as person:
        session = person.new_session()
        leave_in_the_middle(person, session, gate)
        person.say(None, "Has it left?", model="echo")
        gate.open()
        person.say(session, "Go on.")
        statuses = person.statuses(session)

    assert sent(stub)[1] == [user("Talk."), streamed("Half whole."), user("Go on.")]
    assert statuses == [("user", "complete"), ("assistant", "complete")] * 2


def leave_in_the_middle(person: Person, session: str, gate: Gate) -> None:
    """Read the beginning of a stream, up to the gate, and hang up."""
    with person.stream(session, "Talk.") as stream:
        assert gate.wait_reached()
        assert any(chunk.choices[0].delta.content == "Half " for chunk in stream)


def asking(gateway: GatewayProcess, person: Person, session: str, *, stream: bool) -> socket.socket:
    """A connection on which a call has been made, to be closed with its answer unread."""
    body = orjson.dumps(person.body(session, "Are you there?", stream=stream))
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n"
        f"authorization: Bearer {person.key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    connection.sendall(head.encode() + body)
    return connection
