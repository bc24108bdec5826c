"""/admin/keys beyond making and revoking (test_auth.py): what a key may use, changing it, rotating it; /v1/keys."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gateway.auth.issuing import issue_key
from gateway.ports import Store
from tests.api.composed import STORES, Composed, Json, Person, compose, new_store, refusal


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


LIMITS = {
    "requests_per_minute": 60,
    "tokens_per_minute": 10_000,
    "parallel_calls": 4,
    "tokens_per_day": 1_000_000,
    "tokens_per_month": 10_000_000,
    "dollars_per_day": 2.5,
    "dollars_per_month": 0.1,
}


async def made(person: Person, /, **fields: object) -> Json:
    response = await person.http.post("/admin/keys", json={"user": "eve", **fields})
    assert response.status_code == 201, response.text
    key: Json = response.json()
    return key


async def shown(admin: Person, key_id: str) -> Json:
    response = await admin.http.get(f"/admin/keys/{key_id}")
    assert response.status_code == 200, response.text
    key: Json = response.json()
    return key


async def audited(admin: Person) -> list[tuple[str, str, Json]]:
    entries = (await admin.http.get("/admin/audit")).json()["data"]
    return [(entry["action"], entry["target"], entry["details"]) for entry in entries]


# ── making and looking ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_shown_with_all_that_it_may_do(admin: Person) -> None:
    key = await made(admin, name="laptop", allowed_models=["slow", "fast", "slow"], limits=LIMITS)
    text = key.pop("key")
    [user] = [user for user in (await admin.http.get("/admin/users")).json()["data"] if user["name"] == "eve"]
    assert key == {
        "id": key["id"],
        "user": "eve",
        "user_id": user["id"],
        "name": "laptop",
        "status": "active",
        "scopes": ["user"],
        "allowed_models": ["fast", "slow"],
        "limits": LIMITS,
        "created_at": key["created_at"],
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
    }
    for name in (key["id"], text):
        assert await shown(admin, name) == key
    assert (await admin.http.get("/admin/keys?user=eve")).json()["data"] == [key]


async def test_a_key_that_says_nothing_may_do_everything(admin: Person) -> None:
    key = await made(admin, allowed_models=None, limits={"parallel_calls": None})
    assert (key["allowed_models"], key["limits"]) == (None, {})


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"limits": {"requests": 5}}, "limits.requests", "known are requests_per_minute, tokens_per_minute, "),
        ({"limits": {"parallel_calls": 0}}, "limits.parallel_calls", "expected an integer from 1 to"),
        ({"limits": {"parallel_calls": -1}}, "limits.parallel_calls", "expected an integer from 1 to"),
        ({"limits": {"parallel_calls": 1.5}}, "limits.parallel_calls", "expected an integer from 1 to"),
        ({"limits": {"parallel_calls": True}}, "limits.parallel_calls", "expected an integer from 1 to"),
        ({"limits": {"tokens_per_day": "9"}}, "limits.tokens_per_day", "expected an integer from 1 to"),
        ({"limits": {"tokens_per_day": 10**16}}, "limits.tokens_per_day", "expected an integer from 1 to"),
        ({"limits": {"dollars_per_day": 0}}, "limits.dollars_per_day", "greater than 0"),
        ({"limits": {"dollars_per_day": 1e300}}, "limits.dollars_per_day", "less than or equal to"),
        ({"limits": []}, "limits", "LimitsInput"),
        ({"allowed_models": []}, "allowed_models", "at least 1"),
        ({"allowed_models": "fast"}, "allowed_models", "list"),
        ({"allowed_models": [""]}, "allowed_models.0", "at least 1"),
        ({"allowed_models": ["fast", 5]}, "allowed_models.1", "string"),
        ({"allowed_models": ["a\0"]}, "allowed_models.0", "NUL"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_a_key_may_not_be_given(admin: Person, method: str, fields: Json, param: str, said: str) -> None:
    before = await made(admin)
    body, path = ({"user": "eve", **fields}, "") if method == "POST" else (fields, "/" + before["id"])
    error = refusal(await admin.http.request(method, f"/admin/keys{path}", json=body), 400)
    assert error["param"] == param
    assert said in error["message"]
    del before["key"]
    assert (await admin.http.get("/admin/keys?user=eve")).json()["data"] == [before]


@pytest.mark.parametrize("path", ["", "/rotate"])
@pytest.mark.parametrize("key_id", ["key_nope", "ключ"])
async def test_a_key_that_there_is_not(admin: Person, path: str, key_id: str) -> None:
    for method in ("POST",) if path else ("GET", "PATCH", "DELETE"):
        error = refusal(await admin.http.request(method, f"/admin/keys/{key_id}{path}", json={}), 404)
        assert (error["param"], error["code"]) == ("key_id", "key_not_found")


async def test_anybody_sees_their_own_keys_alone(gateway: Composed, ada: Person, admin: Person) -> None:
    await gateway.person("bob")
    second = await gateway.person("ada")
    listed = (await ada.http.get("/v1/keys")).json()
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert {key["user_id"] for key in listed["data"]} == {ada.user_id}
    assert len(listed["data"]) == 2
    assert listed["data"] == (await second.http.get("/v1/keys")).json()["data"]
    assert listed["data"] == (await admin.http.get("/admin/keys?user=ada")).json()["data"]
    assert refusal(await ada.http.post("/v1/keys", json={}), 405)["code"] == "method_not_allowed"


async def test_a_key_that_is_still_believed_does_not_show_keys_of_whoever_has_its_users_name_now(
    gateway: Composed, ada: Person
) -> None:
    assert len((await ada.http.get("/v1/keys")).json()["data"]) == 1
    await gateway.store.erase_user(ada.user_id)  # by another process: this one has just found the key valid
    other = await gateway.person("ada")
    assert (await ada.http.get("/v1/keys")).json()["data"] == []
    assert len((await other.http.get("/v1/keys")).json()["data"]) == 1


# ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def patched(admin: Person, key_id: str, **fields: object) -> Json:
    response = await admin.http.patch(f"/admin/keys/{key_id}", json=fields)
    assert response.status_code == 200, response.text
    key: Json = response.json()
    assert key == await shown(admin, key_id)
    return key


async def test_a_change_sets_what_it_names_and_nothing_else(admin: Person) -> None:
    key = await made(admin, name="laptop", allowed_models=["fast"], limits=LIMITS, expires_in="30d")
    del key["key"]
    assert await patched(admin, key["id"]) == key
    assert await patched(admin, key["id"], name="phone") == {**key, "name": "phone"}
    changed = await patched(admin, key["id"], limits={"parallel_calls": 9, "dollars_per_day": None})
    expected = {**LIMITS, "parallel_calls": 9}
    del expected["dollars_per_day"]
    assert changed == {**key, "name": "phone", "limits": expected}
    changed = await patched(admin, key["id"], name=None, allowed_models=None, limits=None, expires_in=None)
    assert changed == {**key, "name": None, "allowed_models": None, "limits": {}, "expires_at": None}


async def test_a_new_expiry_is_counted_from_now(admin: Person) -> None:
    key = await made(admin)
    before = datetime.now(UTC)
    expires = datetime.fromisoformat((await patched(admin, key["id"], expires_in="2h"))["expires_at"])
    assert before <= expires - timedelta(hours=2) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": "\x1b[2J"}, "name"),
        ({"name": ""}, "name"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": "0s"}, "expires_in"),
        ({"expires_at": "2030-01-01"}, "expires_at"),
        ({"user": "bob"}, "user"),
        ({"scopes": ["admin"]}, "scopes"),
    ],
)
async def test_a_change_that_cannot_be_made(admin: Person, fields: Json, param: str) -> None:
    key = await made(admin)
    del key["key"]
    error = refusal(await admin.http.patch(f"/admin/keys/{key['id']}", json=fields), 400)
    assert error["param"] == param
    assert await shown(admin, key["id"]) == key


async def test_a_change_counts_at_once(gateway: Composed, admin: Person) -> None:
    key = await made(admin)
    client = gateway.client(key["key"])
    assert len((await client.get("/v1/models")).json()["data"]) == 3
    await patched(admin, key["id"], allowed_models=["echo"])
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["echo"]


async def test_changes_leave_entries_that_tell_what_was_set_and_not_to_what(admin: Person) -> None:
    key = await made(admin)
    await patched(admin, key["id"], name="Harbour", allowed_models=["harbour", "fast"], limits=LIMITS, expires_in="1h")
    await patched(admin, key["id"], name="Harbour")
    await patched(admin, key["id"], limits=None, allowed_models=None)
    entries = (await audited(admin))[:2]
    assert entries == [
        ("key.update", key["id"], {"allowed_models": 0, "limits": 0}),
        ("key.update", key["id"], {"name": 1, "allowed_models": 2, "limits": 7, "expires_at": 1}),
    ]


# ── rotating ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def rotated(admin: Person, key_id: str, **fields: object) -> Json:
    response = await admin.http.post(f"/admin/keys/{key_id}/rotate", json=fields)
    assert response.status_code == 201, response.text
    key: Json = response.json()
    return key


async def works(gateway: Composed, key: Json) -> bool:
    return (await gateway.client(key["key"]).get("/v1/models")).status_code == 200


async def test_both_keys_are_valid_until_the_overlap_ends(gateway: Composed, admin: Person) -> None:
    old = await made(admin, name="laptop", allowed_models=["fast"], limits={"parallel_calls": 2}, admin=True)
    assert await works(gateway, old)
    before = datetime.now(UTC)
    new = await rotated(admin, old["id"])
    assert await works(gateway, old)
    assert await works(gateway, new)
    ended = datetime.fromisoformat((await shown(admin, old["id"]))["expires_at"])
    assert before <= ended - timedelta(hours=24) <= datetime.now(UTC)
    differing = {"id", "key", "created_at"}
    assert {name: value for name, value in new.items() if name not in differing} == {
        name: old[name] for name in new.keys() - differing
    }
    assert (await audited(admin))[0] == ("key.rotate", old["id"], {"new_key_id": new["id"]})


async def test_without_an_overlap_the_old_key_stops_at_once(gateway: Composed, admin: Person) -> None:
    old = await made(admin)
    assert await works(gateway, old)
    new = await rotated(admin, old["key"], overlap="0s")
    assert await works(gateway, new)
    assert not await works(gateway, old)
    assert (await shown(admin, old["id"]))["status"] == "expired"


async def test_keys_that_are_made_and_rotated_over_http_are_stored_under_the_pepper(store: Store) -> None:
    async with compose(store, {"auth": {"pepper": "salt and"}}) as gateway:
        _, text = await issue_key(store, user_name="root", pepper="salt and", admin=True)
        root = Person(gateway.client(text), text, "")
        key = await made(root)
        new = await rotated(root, key["id"])
        assert await works(gateway, key)
        assert await works(gateway, new)


async def test_a_body_may_be_left_out(admin: Person) -> None:
    key = await made(admin)
    assert (await admin.http.post(f"/admin/keys/{key['id']}/rotate")).status_code == 201


@pytest.mark.parametrize("overlap", ["", "soon", "-1h", "999999w", 24, None])
async def test_an_overlap_that_is_none(admin: Person, overlap: object) -> None:
    key = await made(admin)
    error = refusal(await admin.http.post(f"/admin/keys/{key['id']}/rotate", json={"overlap": overlap}), 400)
    assert error["param"] == "overlap"
    assert len((await admin.http.get("/admin/keys?user=eve")).json()["data"]) == 1


async def test_a_key_that_has_ended_is_not_rotated(admin: Person) -> None:
    key = await made(admin)
    await admin.http.delete(f"/admin/keys/{key['id']}")
    error = refusal(await admin.http.post(f"/admin/keys/{key['id']}/rotate", json={}), 409)
    assert (error["param"], error["code"]) == ("key_id", "key_not_usable")
    assert len((await admin.http.get("/admin/keys?user=eve")).json()["data"]) == 1


async def test_the_states_of_keys(admin: Person) -> None:
    active, revoked, expired = [await made(admin) for _ in range(3)]
    await admin.http.delete(f"/admin/keys/{revoked['id']}")
    await rotated(admin, expired["id"], overlap="0s")
    assert [(await shown(admin, key["id"]))["status"] for key in (active, revoked, expired)] == [
        "active",
        "revoked",
        "expired",
    ]
    await admin.http.patch(f"/admin/users/{active['user_id']}", json={"disabled": True})
    assert [(await shown(admin, key["id"]))["status"] for key in (active, revoked, expired)] == [
        "disabled",
        "revoked",
        "expired",
    ]


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def eve(gateway: Composed, admin: Person) -> Person:
    """Who may use `fast` and `echo`, of `fast`, `slow` and `echo`."""
    key = await made(admin, allowed_models=["fast", "echo", "elsewhere"])
    return Person(gateway.client(key["key"]), key["key"], key["user_id"])


def assert_not_allowed(response: httpx.Response) -> None:
    error = refusal(response, 403)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_allowed")
    assert "It may use: echo, elsewhere, fast." in error["message"]
    assert "slow" not in error["message"].partition("It may use")[2]


async def test_a_key_uses_its_models_alone(gateway: Composed, eve: Person) -> None:
    assert (await eve.ask(None)).status_code == 200
    calls = len(gateway.stub.requests)
    for model in ("slow", "there/is-none"):
        assert_not_allowed(await eve.ask(None, model=model))
    assert len(gateway.stub.requests) == calls
    assert [entry.model for entry in await gateway.ledger(eve)] == ["fast"]


async def test_what_is_not_allowed_leaves_a_session_as_it_was(eve: Person) -> None:
    session = await eve.new_session()
    before = await eve.session(session)
    assert_not_allowed(await eve.ask(session, model="slow"))
    assert_not_allowed(await eve.ask("sess_unknown", model="slow"))
    assert await eve.session(session) == before
    assert (await eve.ask(session)).status_code == 200


async def test_a_sessions_own_model_is_checked_too_and_the_session_let_go(gateway: Composed, eve: Person) -> None:
    session = await eve.new_session(model="echo")
    other = await gateway.person("eve")
    assert (await other.http.patch(f"/chat/sessions/{session}", json={"model": "slow"})).status_code == 200
    assert_not_allowed(await eve.ask(session, model=None))
    assert await eve.messages(session) == []
    assert await gateway.ledger(eve) == []
    assert (await eve.ask(session, model="echo")).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_session_is_not_given_a_model_that_the_key_may_not_use(eve: Person, method: str) -> None:
    path = "" if method == "POST" else "/" + await eve.new_session(model="fast")
    assert_not_allowed(await eve.http.request(method, f"/chat/sessions{path}", json={"model": "slow"}))
    assert [each["model"] for each in (await eve.http.get("/chat/sessions")).json()["data"]] == ["fast"] * bool(path)


async def test_other_models_are_not_shown(eve: Person, ada: Person) -> None:
    assert [model["id"] for model in (await eve.http.get("/v1/models")).json()["data"]] == ["fast", "echo"]
    assert (await eve.http.get("/v1/models/echo")).status_code == 200
    error = refusal(await eve.http.get("/v1/models/slow"), 404)
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert (await ada.http.get("/v1/models/slow")).status_code == 200
