"""/admin/users/{user_id}/sessions: an admin reads somebody's sessions, and the audit log says so."""

import hashlib
import json
from pathlib import Path

import pytest

from gateway.ports import Store
from tests.api.composed import STORES, Composed, Json, Person, compose, new_store, refusal

BELOW = ["", "/search?q=ada", "/{}", "/{}/messages", "/{}/stats", "/{}/export"]
READING = ["", "/search?q=ada", "/{}", "/{}/messages", "/{}/export"]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


@pytest.fixture
async def session(ada: Person) -> str:
    session = await ada.new_session(session_name="Ada's", model="fast", metadata={"team": "x"})
    await ada.say(session, "My name is Ada.")
    return session


async def reads(admin: Person) -> list[Json]:
    entries: list[Json] = (await admin.http.get("/admin/audit")).json()["data"]
    return [entry for entry in entries if entry["action"] in {"session.read", "session.list"}]


@pytest.mark.parametrize("below", BELOW)
async def test_the_answers_are_those_that_the_user_gets(ada: Person, admin: Person, session: str, below: str) -> None:
    path = below.format(session)
    mine = await ada.http.get(f"/chat/sessions{path}")
    theirs = await admin.http.get(f"/admin/users/{ada.user_id}/sessions{path}")
    assert theirs.status_code == 200
    assert theirs.content == mine.content
    for header in ("content-type", "content-disposition"):
        assert theirs.headers.get(header) == mine.headers.get(header)


async def test_filters_and_pages_are_the_same_too(ada: Person, admin: Person, session: str) -> None:
    archived = await ada.new_session()
    await ada.http.post(f"/chat/sessions/{archived}/archive")
    for query in (
        "limit=1",
        "limit=1&offset=1",
        "include_archived=true&limit=1",
        "metadata[team]=x",
        "metadata[team]=y",
    ):
        mine = await ada.http.get(f"/chat/sessions?{query}")
        assert (await admin.http.get(f"/admin/users/{ada.user_id}/sessions?{query}")).json() == mine.json()
    first = (await admin.http.get(f"/admin/users/{ada.user_id}/sessions/{session}/messages?limit=1")).json()
    assert ([message["content"] for message in first["data"]], first["has_more"]) == (["My name is Ada."], True)
    assert refusal(await admin.http.get(f"/admin/users/{ada.user_id}/sessions?limit=0"), 400)["param"] == "limit"


async def test_an_export_names_the_session_s_user_not_the_reader(ada: Person, admin: Person, session: str) -> None:
    line = (await admin.http.get(f"/admin/users/{ada.user_id}/sessions/{session}/export")).text
    assert json.loads(line)["user"] == "ada"


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("below", BELOW)
async def test_it_is_for_admins(gateway: Composed, ada: Person, bob: Person, session: str, below: str) -> None:
    for owner in (ada, bob):
        path = f"/admin/users/{owner.user_id}/sessions{below.format(session)}"
        assert refusal(await bob.http.get(path), 403)["code"] == "insufficient_permissions"
        refusal(await gateway.client().get(path), 401)


@pytest.mark.parametrize("below", BELOW[2:])
async def test_a_session_is_found_with_its_own_user_alone(bob: Person, admin: Person, session: str, below: str) -> None:
    deleted = await bob.new_session()
    await bob.http.delete(f"/chat/sessions/{deleted}")
    for other in (session, deleted, "sess_00000000000000000000000000", "%00"):
        found = await admin.http.get(f"/admin/users/{bob.user_id}/sessions{below.format(other)}")
        assert refusal(found, 404)["code"] == "session_not_found"
    assert await reads(admin) == []


async def test_a_list_and_a_search_are_of_the_user_that_is_named(
    ada: Person, bob: Person, admin: Person, session: str
) -> None:
    await bob.say(await bob.new_session(), "My name is not Ada.")
    for below in ("", "/search?q=ada"):
        found = (await admin.http.get(f"/admin/users/{ada.user_id}/sessions{below}")).json()["data"]
        assert {each["session_id"] for each in found} == {session}


@pytest.mark.parametrize("below", BELOW)
async def test_unknown_users_are_not_found(admin: Person, session: str, below: str) -> None:
    for user_id in ("user_00000000000000000000000000", "ada", "x%00"):
        found = refusal(await admin.http.get(f"/admin/users/{user_id}/sessions{below.format(session)}"), 404)
        assert (found["param"], found["code"]) == ("user_id", "user_not_found")
    assert await reads(admin) == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed(ada: Person, admin: Person, session: str, method: str) -> None:
    for below in ("", f"/{session}"):
        found = await admin.http.request(method, f"/admin/users/{ada.user_id}/sessions{below}")
        assert found.headers["allow"] == "GET, HEAD"
        refusal(found, 405)


async def test_paths_that_name_a_user_are_admins(gateway: Composed) -> None:
    """What context.owner_id builds upon."""
    paths = (await gateway.client().get("/openapi.json")).json()["paths"]
    named = [path for path in paths if "{user_id}" in path]
    assert named
    assert [path for path in named if not path.startswith("/admin/")] == []


# ── what is noted ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("below", READING)
async def test_reading_what_was_said_is_noted_once(ada: Person, admin: Person, session: str, below: str) -> None:
    response = await admin.http.get(f"/admin/users/{ada.user_id}/sessions{below.format(session)}")
    [entry] = await reads(admin)
    assert entry["action"] == ("session.read" if below else "session.list")
    [key] = (await admin.http.get("/admin/keys?user=root")).json()["data"]
    assert entry["target"] == (session if "{}" in below else ada.user_id)
    assert entry["actor"] == {"user_id": admin.user_id, "key_id": key["id"]}
    assert entry["request_id"] == response.headers["x-request-id"]
    assert entry["details"] == {"user_id": ada.user_id}
    everything = (await admin.http.get("/admin/audit")).text
    assert "session.export" not in everything
    assert "Ada" not in everything


@pytest.mark.parametrize("below", [below for below in BELOW if below not in READING])
async def test_to_look_at_what_there_is_leaves_no_entry(ada: Person, admin: Person, session: str, below: str) -> None:
    await admin.http.get(f"/admin/users/{ada.user_id}/sessions{below.format(session)}")
    assert await reads(admin) == []


async def test_every_page_of_a_list_is_noted_and_one_that_is_refused_is_not(ada: Person, admin: Person) -> None:
    for query in ("limit=1", "limit=1&offset=1", "metadata[team]=x"):
        await admin.http.get(f"/admin/users/{ada.user_id}/sessions?{query}")
    refusal(await admin.http.get(f"/admin/users/{ada.user_id}/sessions?limit=0"), 400)
    assert [(entry["action"], entry["target"]) for entry in await reads(admin)] == [("session.list", ada.user_id)] * 3


async def test_an_id_that_a_client_chose_is_noted_as_its_hash(store: Store) -> None:
    async with compose(store, {"sessions": {"auto_create": True}}) as gateway:
        ada, admin = await gateway.person("ada"), await gateway.person("root", admin=True)
        await ada.say("ada.work", "Hello.")
        await admin.http.get(f"/admin/users/{ada.user_id}/sessions/ada.work/messages")
        [entry] = await reads(admin)
        assert entry["target"] == "sha256:" + hashlib.sha256(b"ada.work").hexdigest()


async def test_an_admins_own_sessions_are_nobody_elses(admin: Person) -> None:
    session = await admin.new_session()
    await admin.say(session, "I am Ada's admin.")
    for below in READING:
        response = await admin.http.get(f"/admin/users/{admin.user_id}/sessions{below.format(session)}")
        assert response.status_code == 200
    assert await reads(admin) == []
