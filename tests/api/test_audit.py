"""GET /admin/audit: every operation on keys and stored data leaves an entry, and nothing else does."""

import hashlib
from pathlib import Path

import pytest

from gateway.ids import ulid
from gateway.ports import Store
from tests.api.composed import STORES, Json, Person, new_store


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def audited(admin: Person, query: str = "") -> list[Json]:
    response = await admin.http.get(f"/admin/audit{query}")
    assert response.status_code == 200, response.text
    entries: list[Json] = response.json()["data"]
    return entries


REQUEST_ID = "req_" + ulid()
"""As the gateway makes them."""


async def test_an_entry_says_who_did_what_when_and_by_which_request(ada: Person, admin: Person) -> None:
    session = await ada.session(await ada.new_session(session_name="A secret"))
    path = f"/chat/sessions/{session['session_id']}/archive"

    archived = await ada.http.post(path, headers={"x-request-id": REQUEST_ID})

    [entry, *_] = await audited(admin)
    [key] = (await admin.http.get("/admin/keys?user=ada")).json()["data"]
    assert entry == {
        "id": entry["id"],
        "at": entry["at"],
        "action": "session.archive",
        "target": session["session_id"],
        "actor": {"user_id": ada.user_id, "key_id": key["id"]},
        "request_id": REQUEST_ID,
        "details": {},
    }
    assert entry["id"].startswith("audit_")
    assert session["created_at"] < entry["at"] <= archived.json()["updated_at"]


async def test_every_operation_leaves_its_entry(ada: Person, bob: Person, admin: Person) -> None:
    [first, second] = [await ada.new_session() for _ in range(2)]
    key = (await admin.http.post("/admin/keys", json={"user": "eve"})).json()
    carol = (await admin.http.post("/admin/users", json={"name": "carol"})).json()
    key_path, user_path = f"/admin/keys/{key['id']}", f"/admin/users/{carol['id']}"
    operations = [
        ("key.create", key["id"], None),
        ("user.create", carol["id"], None),
        ("key.update", key["id"], await admin.http.patch(key_path, json={"name": "laptop"})),
        ("key.rotate", key["id"], await admin.http.post(f"{key_path}/rotate")),
        ("user.update", carol["id"], await admin.http.patch(user_path, json={"limits": {"parallel_calls": 1}})),
        ("user.disable", carol["id"], await admin.http.patch(user_path, json={"disabled": True})),
        ("user.enable", carol["id"], await admin.http.patch(user_path, json={"disabled": False})),
        ("session.archive", first, await ada.http.post(f"/chat/sessions/{first}/archive")),
        ("session.unarchive", first, await ada.http.post(f"/chat/sessions/{first}/unarchive")),
        ("session.export", first, await ada.http.get(f"/chat/sessions/{first}/export")),
        ("session.delete", first, await ada.http.delete(f"/chat/sessions/{first}")),
        ("session.purge", first, await ada.http.delete(f"/chat/sessions/{first}?purge=true")),
        ("session.purge", second, await ada.http.delete(f"/chat/sessions/{second}?purge=true")),
        ("key.revoke", key["id"], await admin.http.delete(f"/admin/keys/{key['key']}")),
        ("user.erase", bob.user_id, await admin.http.delete(f"/admin/users/{bob.user_id}?purge=true")),
    ]

    entries = (await audited(admin))[: len(operations)][::-1]

    assert [(entry["action"], entry["target"]) for entry in entries] == [each[:2] for each in operations]
    for entry, (action, _, response) in zip(entries, operations, strict=True):
        actor = ada if action.startswith("session") else admin
        assert entry["actor"]["user_id"] == actor.user_id
        assert response is None or entry["request_id"] == response.headers["x-request-id"]


async def test_what_changed_nothing_leaves_no_entry(ada: Person, bob: Person, admin: Person) -> None:
    session = await ada.new_session()
    key = (await admin.http.post("/admin/keys", json={"user": "eve"})).json()
    await ada.http.post(f"/chat/sessions/{session}/archive")
    await admin.http.delete(f"/admin/keys/{key['id']}")
    before = await audited(admin)

    await ada.http.post(f"/chat/sessions/{session}/archive")
    await admin.http.delete(f"/admin/keys/{key['id']}")
    await admin.http.delete("/admin/keys/key_nope")
    await admin.http.delete("/admin/users/user_nope?purge=true")
    await admin.http.delete(f"/admin/users/{ada.user_id}")
    await admin.http.delete(f"/admin/users/{admin.user_id}?purge=true")
    for method, path in [
        ("POST", "/archive"),
        ("POST", "/unarchive"),
        ("GET", "/export"),
        ("DELETE", ""),
        ("DELETE", "?purge=true"),
    ]:
        await bob.http.request(method, f"/chat/sessions/{session}{path}")

    assert await audited(admin) == before


async def test_keys_made_without_a_key_have_no_actor(admin: Person) -> None:
    [entry] = await audited(admin)
    assert (entry["action"], entry["actor"], entry["request_id"]) == ("key.create", None, None)


async def test_entries_come_newest_first_in_exact_pages(admin: Person) -> None:
    for number in range(4):
        await admin.http.post("/admin/keys", json={"user": f"user{number}"})
    everything = await audited(admin)
    assert [entry["at"] for entry in everything] == sorted((entry["at"] for entry in everything), reverse=True)

    pages = [(await admin.http.get(f"/admin/audit?limit=2&offset={offset}")).json() for offset in (0, 2, 4)]
    assert [entry for page in pages for entry in page["data"]] == everything
    assert [page["has_more"] for page in pages] == [True, True, False]


async def test_entries_hold_no_names_and_no_texts(ada: Person, admin: Person) -> None:
    session = await ada.new_session(session_name="Harbour", metadata={"place": "Harbour"})
    await ada.say(session, "The harbour at night", model="echo")
    await admin.http.post("/admin/keys", json={"user": "eve", "name": "Harbour"})
    await ada.http.get(f"/chat/sessions/{session}/export")
    await ada.http.delete(f"/chat/sessions/{session}?purge=true")
    await admin.http.delete(f"/admin/users/{ada.user_id}?purge=true")
    written = (await admin.http.get("/admin/audit")).text.lower()
    for text in ("harbour", '"ada"', '"eve"'):
        assert text not in written


async def test_an_id_that_a_client_has_chosen_is_not_told_and_can_be_found(ada: Person, admin: Person) -> None:
    session = await ada.new_session()
    chosen = "my-secret-request"
    await ada.http.post(f"/chat/sessions/{session}/archive", headers={"x-request-id": chosen})
    entries = (await admin.http.get("/admin/audit")).json()["data"]
    [entry] = [entry for entry in entries if entry["action"] == "session.archive"]
    assert entry["target"] == session
    assert entry["request_id"] == "sha256:" + hashlib.sha256(chosen.encode()).hexdigest()
