"""Nobody sees, changes or can even tell of another user's session: the answer is that of one that never was."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.ports import Store
from tests.api.composed import STORES, Composed, Person, new_store, refusal

ROUTES: Sequence[tuple[str, str, Any]] = [
    ("GET", "/chat/sessions/{}", None),
    ("PUT", "/chat/sessions/{}", {"session_name": "Mine now"}),
    ("PATCH", "/chat/sessions/{}", {"session_name": "Mine now"}),
    ("DELETE", "/chat/sessions/{}", None),
    ("DELETE", "/chat/sessions/{}?purge=false", None),
    ("GET", "/chat/sessions/{}/messages", None),
    ("GET", "/chat/sessions/{}/stats", None),
    ("GET", "/chat/sessions/{}/export", None),
    ("POST", "/chat/sessions/{}/archive", None),
    ("POST", "/chat/sessions/{}/unarchive", None),
]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


def told(response: httpx.Response, session: str) -> tuple[bytes, dict[str, str]]:
    """What a response gives away, but for its request's and its session's own id."""
    headers = {name: value for name, value in response.headers.items() if name != "x-request-id"}
    return response.content.replace(session.encode(), b"ID"), headers


@pytest.fixture
async def hidden(ada: Person, bob: Person) -> dict[str, str]:
    """Sessions that bob must not learn of."""
    deleted = await bob.new_session()
    await bob.http.delete(f"/chat/sessions/{deleted}")
    taken = await ada.new_session(session_name="Ada's", model="fast")
    await ada.say(taken, "My name is Ada.")
    return {"taken": taken, "deleted": deleted, "unknown": "sess_00000000000000000000000000"}


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_three_kinds_of_absence_look_alike(
    bob: Person, hidden: dict[str, str], method: str, path: str, body: Any
) -> None:
    seen = []
    for session in hidden.values():
        response = await bob.http.request(method, path.format(session), json=body)
        error = refusal(response, 404)
        assert (error["param"], error["code"]) == ("session_id", "session_not_found")
        seen.append(told(response, session))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("in_header", [False, True])
async def test_a_chat_tells_them_apart_no_more(
    gateway: Composed, bob: Person, hidden: dict[str, str], stream: bool, in_header: bool
) -> None:
    before, seen = len(gateway.stub.requests), []
    for session in hidden.values():
        bob.http.headers["x-session-id"] = session if in_header else ""
        named = {} if in_header else {"session_id": session}
        body = {"model": "fast", "messages": [{"role": "user", "content": "x"}], "stream": stream, **named}
        response = await bob.http.post("/v1/chat/completions", json=body)
        assert refusal(response, 404)["code"] == "session_not_found"
        seen.append(told(response, session))
    assert seen[0] == seen[1] == seen[2]
    assert len(gateway.stub.requests) == before


async def test_nothing_of_an_attempt_is_kept(
    gateway: Composed, ada: Person, bob: Person, hidden: dict[str, str]
) -> None:
    session, messages = await ada.session(hidden["taken"]), await ada.messages(hidden["taken"])

    for method, path, body in ROUTES:
        await bob.http.request(method, path.format(hidden["taken"]), json=body)
    await bob.ask(hidden["taken"], "Let me in.")

    assert await ada.session(hidden["taken"]) == session
    assert await ada.messages(hidden["taken"]) == messages
    assert await gateway.ledger(bob) == []


async def test_an_admins_key_opens_no_session_of_others(admin: Person, hidden: dict[str, str]) -> None:
    for method, path, body in ROUTES:
        response = await admin.http.request(method, path.format(hidden["taken"]), json=body)
        assert refusal(response, 404)["code"] == "session_not_found"
    assert refusal(await admin.ask(hidden["taken"]), 404)["code"] == "session_not_found"
    assert (await admin.http.get("/chat/sessions")).json()["data"] == []


async def test_two_keys_of_one_user_share_their_sessions(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    other_key = await gateway.person("ada")
    await other_key.say(session, "My name is Ada.")
    assert [message["seq"] for message in await ada.messages(session)] == [1, 2]
