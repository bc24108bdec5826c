"""/chat/sessions: made, read, changed and deleted, over every store."""

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.ports import Store
from tests.api.composed import STORES, Composed, Person, compose, new_store, refusal

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SETTINGS: dict[str, Any] = {
    "session_name": "Reise nach Zürich ✈",
    "model": "fast",
    "system_prompt": "Be brief.",
    "max_history_messages": 5,
    "metadata": {"tags": ["a", {"b": None}], "n": 1.5},
    "ttl_seconds": 86_400,
}
UNSET: dict[str, Any] = {
    "session_name": None,
    "model": None,
    "system_prompt": None,
    "max_history_messages": 20,
    "metadata": {},
    "ttl_seconds": None,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


# ── making ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_is_made_with_every_documented_field(ada: Person) -> None:
    response = await ada.http.post("/chat/sessions", json=SETTINGS)

    assert response.status_code == 201
    session = response.json()
    assert re.fullmatch(r"sess_[0-9A-HJKMNP-TV-Z]{26}", session["session_id"])
    assert RFC_3339.fullmatch(session["created_at"])
    assert session == {
        "session_id": session["session_id"],
        **SETTINGS,
        "message_count": 0,
        "total_tokens": 0,
        "is_active": True,
        "archived_at": None,
        "created_at": session["created_at"],
        "updated_at": session["created_at"],
        "last_message_at": None,
    }
    assert await ada.session(session["session_id"]) == session


async def test_every_setting_has_its_default(ada: Person) -> None:
    session = await ada.session(await ada.new_session())
    assert {name: session[name] for name in UNSET} == UNSET


async def test_the_default_of_a_limit_is_the_operators(store: Store) -> None:
    async with compose(store, {"sessions": {"max_history_messages": 7}}) as gateway:
        ada = await gateway.person()
        session = await ada.new_session()
        assert (await ada.session(session))["max_history_messages"] == 7
        replaced = await ada.http.put(f"/chat/sessions/{session}", json={"max_history_messages": None})
        assert replaced.json()["max_history_messages"] == 7


async def test_metadata_comes_back_however_deep_it_is_nested(ada: Person) -> None:
    deepest: dict[str, Any] = {}
    for _ in range(252):
        deepest = {"a": deepest}
    session = await ada.new_session(metadata=deepest)

    assert (await ada.session(session))["metadata"] == deepest
    listed = (await ada.http.get("/chat/sessions")).json()["data"]
    assert [each["metadata"] for each in listed] == [deepest]


# ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_put_sets_all_settings_to_what_it_names_or_their_defaults(ada: Person) -> None:
    before = await ada.session(await ada.new_session(**SETTINGS))

    response = await ada.http.put(f"/chat/sessions/{before['session_id']}", json={"session_name": "Other"})

    after = response.json()
    assert response.status_code == 200
    assert after == {**before, **UNSET, "session_name": "Other", "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    assert await ada.session(before["session_id"]) == after


@pytest.mark.parametrize("field", SETTINGS)
async def test_patch_sets_only_what_it_names(ada: Person, field: str) -> None:
    before = await ada.session(await ada.new_session())

    response = await ada.http.patch(f"/chat/sessions/{before['session_id']}", json={field: SETTINGS[field]})

    after = response.json()
    assert after == {**before, field: SETTINGS[field], "updated_at": after["updated_at"]}
    assert await ada.session(before["session_id"]) == after


@pytest.mark.parametrize("field", SETTINGS)
async def test_null_clears_a_setting(ada: Person, field: str) -> None:
    before = await ada.session(await ada.new_session(**SETTINGS))

    after = (await ada.http.patch(f"/chat/sessions/{before['session_id']}", json={field: None})).json()

    assert after == {**before, field: UNSET[field], "updated_at": after["updated_at"]}


async def test_a_patch_that_names_nothing_changes_no_setting(ada: Person) -> None:
    before = await ada.session(await ada.new_session(**SETTINGS))

    response = await ada.http.patch(f"/chat/sessions/{before['session_id']}", json={})

    assert response.status_code == 200
    assert {name: response.json()[name] for name in SETTINGS} == SETTINGS


async def test_settings_hold_for_the_turns_after_them(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    await ada.say(session, "My name is Ada.")
    await ada.http.patch(f"/chat/sessions/{session}", json={"system_prompt": "Be brief.", "max_history_messages": 0})

    await ada.say(session, "Who am I?")

    assert gateway.stub.requests[1].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who am I?"},
    ]


async def test_a_session_names_the_model_of_the_calls_that_name_none(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session(model="slow")

    await ada.say(session, model=None)
    await ada.say(session, model="fast")

    replies = [message["model"] for message in await ada.messages(session) if message["role"] == "assistant"]
    assert replies == ["slow", "fast"]
    assert [entry.model for entry in await gateway.ledger(ada)] == ["slow", "fast"]


async def test_a_call_without_any_model_is_told_so(gateway: Composed, ada: Person) -> None:
    error = refusal(await ada.ask(await ada.new_session(), model=None), 400)
    assert (error["param"], error["code"]) == ("model", "missing_required_parameter")
    assert gateway.stub.requests == []


# ── deleting ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deleted_session_is_hidden_everywhere(gateway: Composed, ada: Person) -> None:
    kept, session = await ada.new_session(), await ada.new_session()
    await ada.say(session)

    response = await ada.http.delete(f"/chat/sessions/{session}")

    assert response.status_code == 200
    assert response.json() == {
        "object": "chat.session.deleted",
        "session_id": session,
        "deleted": True,
        "purged": False,
    }
    path = f"/chat/sessions/{session}"
    routes: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("PUT", path, {}),
        ("PATCH", path, {}),
        ("DELETE", path, None),
        ("GET", f"{path}/messages", None),
        ("GET", f"{path}/stats", None),
        ("GET", f"{path}/export", None),
        ("POST", f"{path}/archive", None),
        ("POST", f"{path}/unarchive", None),
    ]
    for method, where, body in routes:
        assert refusal(await ada.http.request(method, where, json=body), 404)["code"] == "session_not_found"
    assert refusal(await ada.ask(session), 404)["code"] == "session_not_found"
    assert [each["session_id"] for each in (await ada.http.get("/chat/sessions")).json()["data"]] == [kept]
    assert len(gateway.stub.requests) == 1


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────

WRONG: list[tuple[dict[str, Any], str, str, str]] = [
    ({"max_history_messages": -1}, "max_history_messages", "invalid_value", "from 0 to 1000"),
    ({"max_history_messages": 1001}, "max_history_messages", "invalid_value", "from 0 to 1000"),
    ({"max_history_messages": "5"}, "max_history_messages", "invalid_value", "integer"),
    ({"max_history_messages": True}, "max_history_messages", "invalid_value", "integer"),
    ({"max_history_messages": 1.5}, "max_history_messages", "invalid_value", "integer"),
    ({"ttl_seconds": 59}, "ttl_seconds", "invalid_value", "from 60 to 315360000"),
    ({"session_name": 5}, "session_name", "invalid_value", "string"),
    ({"session_name": ""}, "session_name", "invalid_value", "at least 1 character"),
    ({"session_name": "x" * 257}, "session_name", "invalid_value", "at most 256 characters"),
    ({"session_name": "a\0b"}, "session_name", "invalid_value", "NUL"),
    ({"system_prompt": ["x"]}, "system_prompt", "invalid_value", "string"),
    ({"metadata": "x"}, "metadata", "invalid_value", "dictionary"),
    ({"metadata": {"a": "x" * 16_384}}, "metadata", "invalid_value", "at most 16384 bytes"),
    ({"metadata": {"a\0": 1}}, "metadata", "invalid_value", "NUL"),
    ({"metadata": {"gateway.import": "turn_1"}}, "metadata", "invalid_value", "not imported to their end"),
    ({"model": 5}, "model", "invalid_value", "string"),
    ({"name": "x"}, "name", "unknown_parameter", "known are session_name, model"),
]


@pytest.mark.parametrize(("body", "param", "code", "said"), WRONG)
async def test_a_wrong_setting_is_named_and_changes_nothing(
    ada: Person, body: dict[str, Any], param: str, code: str, said: str
) -> None:
    session = await ada.session(await ada.new_session(**SETTINGS))
    path = f"/chat/sessions/{session['session_id']}"
    for method, where in [("POST", "/chat/sessions"), ("PUT", path), ("PATCH", path)]:
        error = refusal(await ada.http.request(method, where, json=body), 400)
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
        assert said in error["message"]
    assert (await ada.http.get("/chat/sessions")).json()["data"] == [session]


async def test_a_model_that_is_not_served_is_refused_before_it_is_set(ada: Person) -> None:
    session = await ada.session(await ada.new_session(model="fast"))
    path = f"/chat/sessions/{session['session_id']}"
    for method, where in [("POST", "/chat/sessions"), ("PUT", path), ("PATCH", path)]:
        error = refusal(await ada.http.request(method, where, json={"model": "nope"}), 404)
        assert (error["param"], error["code"]) == ("model", "model_not_found")
        assert "fast, slow, echo" in error["message"]
    assert (await ada.http.get("/chat/sessions")).json()["data"] == [session]


async def test_everything_about_a_session_may_be_left_out_with_the_body_itself(ada: Person) -> None:
    response = await ada.http.post("/chat/sessions")
    assert response.status_code == 201
    assert (await ada.session(response.json()["session_id"]))["session_name"] is None


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_update_without_a_body_changes_nothing(ada: Person, method: str) -> None:
    session = await ada.new_session(session_name="Trip")
    error = refusal(await ada.http.request(method, f"/chat/sessions/{session}"), 400)
    assert error["code"] == "invalid_json"
    assert (await ada.session(session))["session_name"] == "Trip"


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"session_name": NaN}', b'{"session_name": "\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_refused(ada: Person, body: bytes) -> None:
    error = refusal(await ada.http.post("/chat/sessions", content=body), 400)
    assert (error["param"], error["code"]) == (None, "invalid_json")


async def test_a_message_cannot_take_the_gateways_own_fields(ada: Person) -> None:
    session = await ada.new_session()
    forged = {"role": "user", "content": "Hi", "id": "mine", "seq": 99, "turn_id": "mine", "tokens": -1, "note": "kept"}
    await ada.say(session, messages=[forged])
    [listed, _] = await ada.messages(session)
    assert listed["id"].startswith("msg_")
    assert listed["turn_id"].startswith("turn_")
    assert (listed["seq"], listed["note"]) == (1, "kept")
    assert listed["tokens"] > 0
