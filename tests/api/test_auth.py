"""Who is let in, and where; and /admin/keys, which says who that is."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.api.middleware import PUBLIC
from gateway.auth import keys
from gateway.auth.issuing import issue_key
from gateway.auth.keys import generate_key
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Json, Person, compose, refusal

# ── who is let in ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", sorted(PUBLIC))
async def test_a_few_routes_need_no_key(gateway: Composed, path: str) -> None:
    assert (await gateway.client().get(path)).status_code == 200


async def test_every_other_route_needs_one(gateway: Composed) -> None:
    document = (await gateway.client().get("/openapi.json")).json()
    asked = [(method, path) for path, methods in document["paths"].items() for method in methods if path not in PUBLIC]
    assert len(asked) > 10
    for method, path in [*asked, ("get", "/nope"), ("get", "/"), ("get", "/healthz/"), ("get", "//healthz")]:
        error = refusal(await gateway.client().request(method.upper(), path, json={}), 401)
        assert error["code"] == "missing_api_key"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"", "invalid_api_key"),
        (b"Bearer", "invalid_api_key"),
        (b"Bearer ", "invalid_api_key"),
        (b"Basic dXNlcjpwdw==", "invalid_api_key"),
        (b"Bearer sk-proj-somebody-elses", "invalid_api_key"),
        (b"Bearer sk-gw-", "invalid_api_key"),
        (b"Bearer " + b"x" * 4000, "invalid_api_key"),
        ("Bearer sk-gw-é".encode("latin-1"), "invalid_api_key"),
        pytest.param(b"Bearer " + generate_key().text.encode(), "invalid_api_key", id="unknown"),
        pytest.param(b"Bearer " + generate_key().text[:-1].encode(), "invalid_api_key", id="cut off"),
        (None, "missing_api_key"),
    ],
)
async def test_anything_but_a_key_is_turned_away(gateway: Composed, header: bytes | None, code: str) -> None:
    headers = [] if header is None else [(b"authorization", header)]
    response = await gateway.client().get("/v1/models", headers=headers)
    error = refusal(response, 401)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, code)
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_key_with_a_wrong_secret_is_turned_away(gateway: Composed, ada: Person) -> None:
    """Of a known id, well-formed, and stored with another digest: only the secret is wrong."""
    [stored] = await gateway.store.list_keys()
    payload = stored.id.removeprefix("key_") + "0" * 26
    forged = f"sk-gw-{payload}{keys._checksum(payload)}"
    assert keys.parse_key(forged) == stored.id
    assert refusal(await gateway.client(forged).get("/v1/models"), 401)["code"] == "invalid_api_key"
    assert (await ada.http.get("/v1/models")).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
async def test_the_scheme_is_read_as_http_has_it(gateway: Composed, ada: Person, scheme: str) -> None:
    response = await gateway.client().get("/v1/models", headers={"authorization": scheme + ada.key})
    assert response.status_code == 200


async def test_a_pepper_guards_the_keys_of_a_stolen_database() -> None:
    store = InMemoryStore()
    async with compose(store, {"auth": {"pepper": "salt and"}}) as gateway:
        _, plain = await issue_key(store, user_name="ada", pepper=None)
        _, peppered = await issue_key(store, user_name="ada", pepper="salt and")
        assert (await gateway.client(plain).get("/v1/models")).status_code == 401
        assert (await gateway.client(peppered).get("/v1/models")).status_code == 200


# ── /admin ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/keys"),
        ("POST", "/admin/keys"),
        ("PATCH", "/admin/keys/x"),
        ("DELETE", "/admin/keys/x"),
        ("GET", "/admin/users"),
        ("DELETE", "/admin/users/x?purge=true"),
        ("GET", "/admin/audit"),
        ("GET", "/admin"),
        ("GET", "/admin/"),
    ],
)
async def test_admin_routes_want_an_admins_key(ada: Person, method: str, path: str) -> None:
    error = refusal(await ada.http.request(method, path, json={"user": "eve", "admin": True}), 403)
    assert (error["type"], error["code"]) == ("invalid_request_error", "insufficient_permissions")


async def test_an_admin_makes_keys_that_work_at_once(gateway: Composed, admin: Person) -> None:
    before = datetime.now(UTC)
    response = await admin.http.post("/admin/keys", json={"user": "eve", "name": "laptop", "expires_in": "30d"})

    assert response.status_code == 201
    made = response.json()
    assert {"user": "eve", "name": "laptop", "scopes": ["user"], "revoked_at": None}.items() <= made.items()
    expires = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert expires == timedelta(days=30)
    assert datetime.fromisoformat(made["created_at"]) >= before
    assert (await gateway.client(made["key"]).get("/v1/models")).status_code == 200
    assert (await gateway.client(made["key"]).get("/admin/keys")).status_code == 403


async def test_an_admin_makes_admins(gateway: Composed, admin: Person) -> None:
    made = (await admin.http.post("/admin/keys", json={"user": "eve", "admin": True})).json()
    assert made["scopes"] == ["admin", "user"]
    assert (await gateway.client(made["key"]).get("/admin/keys")).status_code == 200


async def test_keys_are_listed_without_their_secrets(admin: Person) -> None:
    made = (await admin.http.post("/admin/keys", json={"user": "eve"})).json()
    del made["key"]

    everybody = (await admin.http.get("/admin/keys")).json()
    assert (everybody["object"], everybody["has_more"]) == ("list", False)
    assert [key["user"] for key in everybody["data"]] == ["root", "eve"]
    assert (await admin.http.get("/admin/keys", params={"user": "eve"})).json()["data"] == [made]
    assert (await admin.http.get("/admin/keys", params={"user": "nobody"})).json()["data"] == []


@pytest.mark.parametrize("by", ["id", "key"])
async def test_a_key_revoked_through_the_server_stops_at_once(gateway: Composed, admin: Person, by: str) -> None:
    made = (await admin.http.post("/admin/keys", json={"user": "eve"})).json()
    client = gateway.client(made["key"])
    assert (await client.get("/v1/models")).status_code == 200

    revoked = await admin.http.delete(f"/admin/keys/{made[by]}")

    assert revoked.status_code == 200
    assert revoked.json()["id"] == made["id"]
    assert revoked.json()["revoked_at"] is not None
    error = refusal(await client.get("/v1/models"), 401)
    assert (error["code"], error["message"]) == (
        "invalid_api_key",
        "This API key has been revoked or has expired.",
    )
    again = await admin.http.delete(f"/admin/keys/{made[by]}")
    assert again.json() == revoked.json()


async def test_revoking_a_key_that_there_is_not(admin: Person) -> None:
    error = refusal(await admin.http.delete("/admin/keys/key_nope"), 404)
    assert (error["param"], error["code"]) == ("key_id", "key_not_found")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "user", "missing_required_parameter"),
        ({"user": ""}, "user", "invalid_value"),
        ({"user": "with space"}, "user", "invalid_value"),
        ({"user": "a\n"}, "user", "invalid_value"),
        ({"user": 5}, "user", "invalid_value"),
        ({"user": "eve", "admin": "yes"}, "admin", "invalid_value"),
        ({"user": "eve", "name": ""}, "name", "invalid_value"),
        ({"user": "eve", "name": "\x1b[2J"}, "name", "invalid_value"),
        ({"user": "eve", "name": "x" * 257}, "name", "invalid_value"),
        ({"user": "eve", "expires_in": "soon"}, "expires_in", "invalid_value"),
        ({"user": "eve", "expires_in": "0d"}, "expires_in", "invalid_value"),
        ({"user": "eve", "expires_in": "-1d"}, "expires_in", "invalid_value"),
        ({"user": "eve", "expires_in": "٣d"}, "expires_in", "invalid_value"),
        ({"user": "eve", "expires_in": "999999w"}, "expires_in", "invalid_value"),
        ({"user": "eve", "scopes": ["admin"]}, "scopes", "unknown_parameter"),
    ],
)
async def test_a_key_that_cannot_be_made(admin: Person, body: Json, param: str, code: str) -> None:
    error = refusal(await admin.http.post("/admin/keys", json=body), 400)
    assert (error["param"], error["code"]) == (param, code)
    assert len((await admin.http.get("/admin/keys")).json()["data"]) == 1
