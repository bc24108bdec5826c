"""/chat/sessions on a running gateway: what its users see of their own, and nobody else's."""

from collections.abc import Callable, Iterator

import openai
import pytest

from tests.acceptance.conversation import Person, says, sent, user
from tests.acceptance.process import GatewayProcess
from tests.api.composed import refusal
from tests.stubs.openai_wire import OpenAIStub


@pytest.fixture
def other(gateway: GatewayProcess, new_key: Callable[[str], str]) -> Iterator[Person]:
    somebody = Person(gateway, new_key("somebody-else"))
    yield somebody
    somebody.close()


def test_the_life_of_a_session(stub: OpenAIStub, person: Person) -> None:
    made = person.http.post("/chat/sessions", json={"session_name": "Trip", "metadata": {"a": 1}})
    assert made.status_code == 201
    session = made.json()["session_id"]
    path = f"/chat/sessions/{session}"
    stub.reply_with(says("Hello, Ada."))
    person.say(session, "My name is Ada.")

    renamed = person.http.patch(path, json={"session_name": "Holiday"}).json()
    assert (renamed["session_name"], renamed["metadata"], renamed["message_count"]) == ("Holiday", {"a": 1}, 2)
    replaced = person.http.put(path, json={"system_prompt": "Be brief.", "model": "fast"}).json()
    assert (replaced["session_name"], replaced["metadata"], replaced["message_count"]) == (None, {}, 2)
    assert person.http.get(path).json() == replaced
    assert person.http.get("/chat/sessions").json()["data"] == [replaced]

    assert person.http.delete(path).json()["deleted"] is True
    assert person.http.get("/chat/sessions").json() == {"object": "list", "data": [], "has_more": False}
    assert refusal(person.http.get(path), 404)["code"] == "session_not_found"


def test_a_session_with_settings_talks_by_them(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session(model="fast", system_prompt="Be brief.", max_history_messages=0)
    body = person.body(session, "My name is Ada.")
    del body["model"]

    for _ in range(2):
        assert person.http.post("/v1/chat/completions", json=body).status_code == 200

    instructions = {"role": "system", "content": "Be brief."}
    assert sent(stub) == [[instructions, user("My name is Ada.")]] * 2


def test_messages_are_shown_with_their_measures(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    person.say(session, "one")
    for _ in person.stream(session, "two"):
        pass

    asked, answered, _, streamed = person.stored(session)
    assert [message["seq"] for message in person.stored(session)] == [1, 2, 3, 4]
    assert (asked["latency_ms"], asked["ttft_ms"], asked["model"]) == (None, None, None)
    assert (answered["ttft_ms"], answered["model"], answered["status"]) == (None, "fast", "complete")
    assert answered["latency_ms"] > 0
    assert 0 < streamed["ttft_ms"] <= streamed["latency_ms"]
    assert asked["turn_id"] == answered["turn_id"] != streamed["turn_id"]
    shown = person.http.get(f"/chat/sessions/{session}").json()
    assert shown["message_count"] == len(stub.requests) * 2 == 4
    assert shown["total_tokens"] == sum(message["tokens"] for message in person.stored(session))


def test_pages_are_exact(person: Person) -> None:
    made = [person.new_session() for _ in range(3)]

    pages = [person.http.get("/chat/sessions", params={"limit": 2, "offset": offset}).json() for offset in (0, 2)]

    assert [[each["session_id"] for each in page["data"]] for page in pages] == [made[:0:-1], made[:1]]
    assert [page["has_more"] for page in pages] == [True, False]


def test_a_range_is_told(person: Person) -> None:
    for path, param, value, said in [
        ("/chat/sessions", "limit", 101, "from 1 to 100"),
        (f"/chat/sessions/{person.new_session()}/messages", "limit", 0, "from 1 to 500"),
    ]:
        error = refusal(person.http.get(path, params={param: value}), 400)
        assert error["param"] == param
        assert said in error["message"]
    error = refusal(person.http.post("/chat/sessions", json={"max_history_messages": 1001}), 400)
    assert error["param"] == "max_history_messages"
    assert "from 0 to 1000" in error["message"]


def test_nobody_talks_in_anothers_session(stub: OpenAIStub, person: Person, other: Person) -> None:
    session = person.new_session()
    person.say(session, "My name is Ada.")
    stored, told = person.stored(session), []

    for name in (session, "sess_00000000000000000000000000"):
        with pytest.raises(openai.NotFoundError) as caught:
            other.say(name, "What is my name?")
        assert caught.value.code == "session_not_found"
        assert caught.value.request_id
        told.append(caught.value.response.text.replace(name, "ID"))

    assert told[0] == told[1]
    assert person.stored(session) == stored
    assert len(stub.requests) == 1
    assert other.http.get("/chat/sessions").json()["data"] == []
