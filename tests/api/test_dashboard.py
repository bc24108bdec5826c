"""/dashboard without a browser: its files, signing in, and which requests the cookie is good for."""

import re
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

import gateway as package
from gateway.api.dashboard_files import FILES
from gateway.auth.issuing import issue_key
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Person, compose, refusal

DIRECTORY = Path(package.__file__).parent / "dashboard"
OURS = {"x-gateway-dashboard": "1"}


async def sign_in(client: httpx.AsyncClient, key: str, **headers: str) -> httpx.Response:
    return await client.post("/dashboard/session", json={"key": key}, headers={**OURS, **headers})


@pytest.fixture
async def browser(gateway: Composed, ada: Person) -> httpx.AsyncClient:
    """Signed in as ada."""
    client = gateway.client()
    assert (await sign_in(client, ada.key)).status_code == 204
    return client


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_file_is_served_and_no_other() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == set(FILES)


@pytest.mark.parametrize("path", ["/dashboard", *(f"/dashboard/{name}" for name in FILES)])
async def test_a_file_comes_with_a_strict_policy(gateway: Composed, path: str) -> None:
    response = await gateway.client().get(path)
    name = path.removeprefix("/dashboard").lstrip("/") or "index.html"
    assert response.content == (DIRECTORY / name).read_bytes()
    assert response.headers["content-type"] == FILES[name]
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


async def test_a_file_that_the_browser_has_is_not_sent_again(gateway: Composed) -> None:
    client = gateway.client()
    first = await client.get("/dashboard/app.js")
    again = await client.get("/dashboard/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/dashboard/app.css", headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize("name", ["..%2fapp.py", "nope.js", "app.js.map", "%2e%2e/app.py"])
async def test_nothing_else_is_a_file(gateway: Composed, browser: httpx.AsyncClient, name: str) -> None:
    assert (await gateway.client().get(f"/dashboard/{name}")).status_code == 401
    assert refusal(await browser.get(f"/dashboard/{name}"), 404)["code"] == "unknown_url"


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".js", ".html"))])
def test_no_text_can_become_markup_or_code(name: str) -> None:
    text = (DIRECTORY / name).read_text(encoding="utf-8")
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|srcdoc"
    assert not re.search(rf"{ways}|\beval\b|new Function|javascript:", text)
    assert not re.search(
        r"\sstyle=|\son\w+=[\"']|<script(?! type=\"module\" src=)|<style|https?://(?!www\.w3\.org)", text
    )


async def test_it_can_be_turned_off() -> None:
    store = InMemoryStore()
    async with compose(store) as on, compose(store, {"dashboard": {"enabled": False}}) as off:
        ada = await on.person()
        client = off.client()
        for path in ("/dashboard", "/dashboard/app.js", "/dashboard/session"):
            assert refusal(await client.get(path), 404)["code"] == "unknown_url"
        signed_in = on.client()
        await sign_in(signed_in, ada.key)
        client.cookies = signed_in.cookies
        assert refusal(await client.get("/v1/models"), 401)["code"] == "missing_api_key"


# ── signing in ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_given_for_a_cookie(gateway: Composed, ada: Person) -> None:
    client = gateway.client()
    response = await sign_in(client, ada.key)
    assert (response.status_code, response.content) == (204, b"")
    pair, *attributes = response.headers["set-cookie"].split("; ")
    assert pair.startswith("gateway_session=key_")
    assert ada.key.removeprefix("sk-gw-")[10:] not in pair
    assert attributes == ["Max-Age=43200", "Path=/", "HttpOnly", "SameSite=Strict"]
    who = (await client.get("/dashboard/session")).json()
    assert who == {"user": "ada", "user_id": ada.user_id, "key": pair.split("=")[1].split(".")[0], "scopes": ["user"]}
    assert (await client.get("/v1/models")).status_code == 200
    assert refusal(await client.get("/admin/keys"), 403)["code"] == "insufficient_permissions"


@pytest.mark.parametrize(
    "headers", [{"origin": "https://gateway.test"}, {"origin": "https://gateway.test", "sec-fetch-site": "same-origin"}]
)
async def test_by_https_the_cookie_is_for_https_alone(gateway: Composed, ada: Person, headers: dict[str, str]) -> None:
    """TLS may end at a proxy: the page's own address tells."""
    response = await sign_in(gateway.client(), ada.key, **headers)
    assert response.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize("key", ["", "sk-gw-nope", "Bearer x", "x" * 3000])
async def test_what_is_not_a_key_gets_the_usual_401_and_no_cookie(gateway: Composed, key: str) -> None:
    response = await sign_in(gateway.client(), key)
    assert refusal(response, 401)["code"] == "invalid_api_key"
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"key=x", 400), (b"[]", 400), (b"{}", 400), (b'{"key":1}', 400), (b"x" * 9000, 413)],
)
async def test_a_body_that_is_no_sign_in(gateway: Composed, body: bytes, status: int) -> None:
    refusal(await gateway.client().post("/dashboard/session", content=body, headers=OURS), status)


async def test_signing_out_takes_the_cookie_away(browser: httpx.AsyncClient) -> None:
    response = await browser.delete("/dashboard/session", headers=OURS)
    assert response.status_code == 204
    assert response.headers["set-cookie"].startswith("gateway_session=; Max-Age=0; Path=/")
    assert (await browser.get("/dashboard/session")).json()["user"] is None
    assert refusal(await browser.get("/v1/models"), 401)["code"] == "missing_api_key"


async def test_a_revoked_key_ends_its_sign_ins_at_once(gateway: Composed, admin: Person) -> None:
    made = (await admin.http.post("/admin/keys", json={"user": "eve"})).json()
    client = gateway.client()
    await sign_in(client, made["key"])
    assert (await client.get("/v1/models")).status_code == 200
    await admin.http.delete(f"/admin/keys/{made['id']}")
    error = refusal(await client.get("/v1/models"), 401)
    assert "Sign in again" in error["message"]
    assert (await client.get("/dashboard/session")).json()["user"] is None


async def test_a_key_revoked_elsewhere_ends_its_sign_ins_when_it_is_no_longer_believed() -> None:
    store = InMemoryStore()
    async with compose(store, {"auth": {"cache_seconds": 0}}) as gateway:
        key, text = await issue_key(store, user_name="ada", pepper=None)
        client = gateway.client()
        await sign_in(client, text)
        await store.revoke_key(key.id, datetime.now(UTC))
        assert (await client.get("/v1/models")).status_code == 401


async def test_an_erased_user_is_signed_out(admin: Person, ada: Person, browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/v1/models")).status_code == 200
    assert (await admin.http.delete(f"/admin/users/{ada.user_id}?purge=true")).status_code == 200
    assert (await browser.get("/v1/models")).status_code == 401


@pytest.mark.parametrize("cookie", ["", "nonsense", "key_0123456789.9999999999." + "A" * 43])
async def test_a_cookie_that_is_none(gateway: Composed, cookie: str) -> None:
    client = gateway.client()
    response = await client.get("/v1/models", headers={"cookie": f"theme=dark; gateway_session={cookie}"})
    assert refusal(response, 401)["code"] == "invalid_api_key"


async def test_a_key_goes_before_the_cookie(admin: Person, browser: httpx.AsyncClient) -> None:
    headers = {"authorization": f"Bearer {admin.key}"}
    assert (await browser.get("/admin/keys", headers=headers)).status_code == 200
    assert (await browser.get("/v1/models", headers={"authorization": "Bearer nope"})).status_code == 401


# ── whose requests ───────────────────────────────────────────────────────────────────────────────────────────────

HERE = "http://gateway.test"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin", "origin": HERE},
    ],
)
async def test_the_page_may_read(browser: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await browser.get("/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"origin": "http://gateway.test.evil.test"},
        {"origin": "http://gateway.test:81"},
        {"origin": "http://["},
        {"origin": ""},
        {"origin": "//gateway.test"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_other_pages_may_do_nothing(browser: httpx.AsyncClient, method: str, headers: dict[str, str]) -> None:
    response = await browser.request(method, "/chat/sessions", headers={**OURS, **headers})
    assert refusal(response, 403)["code"] == "cross_origin"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"sec-fetch-site": "same-origin"}, 403),
        ({"x-gateway-dashboard": "0"}, 403),
        ({**OURS, "sec-fetch-site": "none"}, 403),
        (OURS, 201),
        ({**OURS, "sec-fetch-site": "same-origin", "origin": HERE}, 201),
    ],
)
async def test_changes_want_the_pages_own_header(
    browser: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    assert (await browser.post("/chat/sessions", json={}, headers=headers)).status_code == status


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_nobody_is_signed_in_or_out_by_another_page(gateway: Composed, ada: Person, method: str) -> None:
    for headers in ({}, {**OURS, "origin": "http://evil.test"}):
        response = await gateway.client().request(method, "/dashboard/session", json={"key": ada.key}, headers=headers)
        assert refusal(response, 403)["code"] == "cross_origin"
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("path", ["/v1/models", "/chat/sessions", "/v1/usage?format=csv", "/dashboard/session"])
async def test_no_cache_keeps_what_the_cookie_opened(browser: httpx.AsyncClient, path: str) -> None:
    response = await browser.get(path)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_no_cache_keeps_a_sign_in(gateway: Composed, ada: Person) -> None:
    client = gateway.client()
    signed_in = await sign_in(client, ada.key)
    signed_out = await client.delete("/dashboard/session", headers=OURS)
    assert [response.headers["cache-control"] for response in (signed_in, signed_out)] == ["no-store", "no-store"]


async def test_keys_are_as_free_as_ever(ada: Person) -> None:
    headers = {"origin": "http://elsewhere.test", "sec-fetch-site": "cross-site"}
    assert (await ada.http.post("/chat/sessions", json={}, headers=headers)).status_code == 201
