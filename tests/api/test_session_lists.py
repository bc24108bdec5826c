"""Pages of sessions and of messages, and what the gateway says of each message."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.ports import Store
from tests.api.composed import STORES, Composed, Person, new_store, refusal
from tests.stubs.openai_wire import Events, Gate, Json, chunks, completion, error


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def names(person: Person, query: str) -> tuple[list[str], bool]:
    body = (await person.http.get(f"/chat/sessions{query}")).json()
    assert body.keys() == {"object", "data", "has_more"}
    assert body["object"] == "list"
    return [session["session_name"] for session in body["data"]], body["has_more"]


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_sessions_are_listed_newest_first_in_exact_pages(ada: Person) -> None:
    for number in range(5):
        await ada.new_session(session_name=str(number))

    assert await names(ada, "") == (["4", "3", "2", "1", "0"], False)
    assert await names(ada, "?limit=2") == (["4", "3"], True)
    assert await names(ada, "?limit=2&offset=2") == (["2", "1"], True)
    assert await names(ada, "?limit=2&offset=3") == (["1", "0"], False)
    assert await names(ada, "?limit=5") == (["4", "3", "2", "1", "0"], False)
    assert await names(ada, "?offset=5") == ([], False)


async def test_a_page_holds_20_sessions_unless_asked_otherwise(ada: Person) -> None:
    for number in range(21):
        await ada.new_session(session_name=str(number))

    listed, more = await names(ada, "")
    assert (listed, more) == ([str(number) for number in range(20, 0, -1)], True)


async def test_everybody_lists_their_own(ada: Person, bob: Person) -> None:
    await ada.new_session(session_name="Ada's")
    await bob.new_session(session_name="Bob's")

    assert await names(ada, "") == (["Ada's"], False)
    assert await names(bob, "") == (["Bob's"], False)


@pytest.mark.parametrize("value", ["true", "1", "false"])
async def test_asking_for_archived_sessions_hides_no_other(ada: Person, value: str) -> None:
    await ada.new_session(session_name="Trip")
    assert await names(ada, f"?include_archived={value}") == (["Trip"], False)


async def test_sessions_are_found_by_their_metadata(ada: Person) -> None:
    for name, metadata in {
        "both": {"team": "red", "place": "Bern", "n": 1},
        "one": {"team": "red", "place": "Chur"},
        "number": {"team": 1},
        "nested": {"team": {"name": "red"}},
        "none": {},
    }.items():
        await ada.new_session(session_name=name, metadata=metadata)

    assert await names(ada, "?metadata[team]=red") == (["one", "both"], False)
    assert await names(ada, "?metadata[team]=red&limit=1") == (["one"], True)
    assert await names(ada, "?metadata[team]=red&metadata[place]=Bern") == (["both"], False)
    for nothing in ("metadata[team]=RED", "metadata[team]=1", "metadata[n]=1", "metadata[x]=", "metadata[team]=%00"):
        assert await names(ada, f"?{nothing}") == ([], False)


async def test_metadata_that_is_no_pair_is_refused(ada: Person) -> None:
    found = refusal(await ada.http.get("/chat/sessions?metadata=red"), 400)
    assert (found["param"], found["code"]) == ("metadata", "invalid_value")


@pytest.mark.parametrize(
    ("path", "param", "value", "said"),
    [
        ("", "limit", "0", "from 1 to 100"),
        ("", "limit", "101", "from 1 to 100"),
        ("", "limit", "many", "integer"),
        ("", "include_archived", "whatever", "boolean"),
        ("", "limit", "", "integer"),
        ("", "offset", "-1", "from 0 to 2147483648"),
        ("", "offset", "99999999999999999999", "from 0 to 2147483648"),
        ("/messages", "limit", "0", "from 1 to 500"),
        ("/messages", "limit", "501", "from 1 to 500"),
        ("/messages", "offset", "-1", "from 0 to 2147483648"),
    ],
)
async def test_a_page_out_of_range_is_told_the_range(ada: Person, path: str, param: str, value: str, said: str) -> None:
    where = f"/chat/sessions/{await ada.new_session()}/messages" if path else "/chat/sessions"
    found = refusal(await ada.http.get(where, params={param: value}), 400)
    assert (found["param"], found["code"]) == (param, "invalid_value")
    assert said in found["message"]


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_show_what_the_gateway_knows(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    gateway.stub.reply_with(Json(completion("Hello, Ada.")))

    await ada.say(session, "My name is Ada.", metadata={"k": "v"})

    asked, answered = await ada.messages(session)
    shared = {"turn_id": asked["turn_id"], "status": "complete", "created_at": asked["created_at"]}
    assert asked == {
        "id": asked["id"],
        "seq": 1,
        "role": "user",
        "content": "My name is Ada.",
        "tokens": 9,  # 3 for the message, 1 for its role, 5 for its text
        "latency_ms": None,
        "ttft_ms": None,
        "model": None,
        "metadata": {"k": "v"},
        **shared,
    }
    assert answered == {
        "id": answered["id"],
        "seq": 2,
        "role": "assistant",
        "content": "Hello, Ada.",
        "refusal": None,
        "annotations": [],
        "tokens": answered["tokens"],
        "latency_ms": answered["latency_ms"],
        "ttft_ms": None,
        "model": "fast",
        "metadata": None,
        **shared,
    }
    assert asked["id"].startswith("msg_")
    assert asked["id"] != answered["id"]
    assert asked["turn_id"].startswith("turn_")
    assert answered["latency_ms"] > 0
    assert datetime.fromisoformat(asked["created_at"]).utcoffset() is not None


async def test_a_streamed_reply_shows_its_time_to_the_first_token(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    gateway.stub.reply_with(Events(chunks("Hel", "lo.")))

    await ada.say(session, stream=True)

    [reply] = [message for message in await ada.messages(session) if message["role"] == "assistant"]
    assert reply["content"] == "Hello."
    assert 0 < reply["ttft_ms"] <= reply["latency_ms"]


async def test_messages_are_listed_oldest_first_in_exact_pages(ada: Person) -> None:
    session = await ada.new_session()
    for number in range(3):
        await ada.say(session, str(number))

    async def seqs(query: str) -> tuple[list[int], bool]:
        body = (await ada.http.get(f"/chat/sessions/{session}/messages{query}")).json()
        assert body["object"] == "list"
        return [message["seq"] for message in body["data"]], body["has_more"]

    assert await seqs("") == ([1, 2, 3, 4, 5, 6], False)
    assert await seqs("?limit=4") == ([1, 2, 3, 4], True)
    assert await seqs("?limit=4&offset=2") == ([3, 4, 5, 6], False)
    assert await seqs("?limit=4&offset=3") == ([4, 5, 6], False)
    assert await seqs("?offset=6") == ([], False)


async def test_a_turn_is_shared_by_its_messages_alone(ada: Person) -> None:
    session = await ada.new_session()
    await ada.say(session)
    await ada.say(session)

    turns = [message["turn_id"] for message in await ada.messages(session)]
    assert turns[0] == turns[1] != turns[2] == turns[3]


async def test_each_message_has_the_status_of_its_turn(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    gateway.stub.reply_with(
        Json(error("no"), status=500),
        Events(chunks("Hel", finish_reason=None, usage=None), ending="eof"),
        Json(completion("Hello.")),
    )

    await ada.ask(session, "a")
    await ada.ask(session, "b", stream=True)
    await ada.say(session, "c")

    shown = [(message["role"], message["status"]) for message in await ada.messages(session)]
    assert shown == [
        ("user", "failed"),
        ("user", "incomplete"),
        ("assistant", "incomplete"),
        ("user", "complete"),
        ("assistant", "complete"),
    ]


async def test_metadata_of_a_request_is_shown_however_deep_it_is_nested(ada: Person) -> None:
    session = await ada.new_session()
    deepest: dict[str, Any] = {}
    for _ in range(252):
        deepest = {"a": deepest}

    await ada.say(session, model="echo", metadata=deepest)

    assert (await ada.messages(session))[0]["metadata"] == deepest


async def test_counters_of_the_session_are_those_of_its_messages(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    await ada.say(session, "My name is Ada.")
    await ada.say(session, "Who am I?")
    gateway.stub.reply_with(Json(error("no"), status=500))
    await ada.ask(session, "And now?")

    shown, messages = await ada.session(session), await ada.messages(session)
    assert shown["message_count"] == len(messages) == 5
    assert shown["total_tokens"] == sum(message["tokens"] for message in messages)
    assert shown["last_message_at"] == shown["updated_at"] == messages[-1]["created_at"]


async def test_a_session_in_the_middle_of_a_turn_shows_nothing_of_it(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    gate = Gate()
    gateway.stub.reply_with(Events([*chunks("Hel", finish_reason=None, usage=None), gate, *chunks("lo.")[2:]]))

    turn = asyncio.create_task(ada.say(session, stream=True))
    assert await gate.reached()
    assert await ada.messages(session) == []
    gate.open()
    await turn
    assert len(await ada.messages(session)) == 2
