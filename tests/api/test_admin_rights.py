"""An admin's rights, given to a key that there is and taken from it: who may, what comes of it, what is told."""

from pathlib import Path

import pytest

from gateway.ports import Store
from tests.api.composed import STORES, Composed, Json, Person, compose, new_store, refusal

OURS = {"x-gateway-dashboard": "1"}

BOTH = ["admin", "user"]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def made(person: Person, **fields: object) -> Json:
    response = await person.http.post("/admin/keys", json={"user": "eve", **fields})
    assert response.status_code == 201, response.text
    key: Json = response.json()
    return key


async def patched(person: Person, key: Json, **fields: object) -> Json:
    response = await person.http.patch(f"/admin/keys/{key['id']}", json=fields)
    assert response.status_code == 200, response.text
    changed: Json = response.json()
    return changed


async def own(person: Person) -> Json:
    """The one key of the person's user."""
    [key] = (await person.http.get("/v1/keys")).json()["data"]
    return dict(key)


async def told(admin: Person, action: str) -> list[tuple[str, Json]]:
    entries = (await admin.http.get("/admin/audit")).json()["data"]
    return [(entry["target"], entry["details"]) for entry in entries if entry["action"] == action]


async def statuses(gateway: Composed, key: Json) -> list[int]:
    client = gateway.client(key["key"])
    return [(await client.get(path)).status_code for path in ("/v1/models", "/admin/keys", "/metrics")]


async def test_rights_are_given_and_taken_at_once(gateway: Composed, admin: Person) -> None:
    key = await made(admin, name="laptop", allowed_models=["fast"], limits={"parallel_calls": 2})
    assert await statuses(gateway, key) == [200, 403, 403]
    text = key.pop("key")

    assert await patched(admin, key, admin=True) == {**key, "scopes": BOTH}
    assert await statuses(gateway, {"key": text}) == [200, 200, 200]

    changed = await patched(admin, key, admin=False)
    assert changed == {**key, "last_used_at": changed["last_used_at"]}
    assert await statuses(gateway, {"key": text}) == [200, 403, 403]


async def test_other_changes_leave_them(admin: Person) -> None:
    key = await made(admin, admin=True)
    changed = await patched(admin, key, name="laptop", allowed_models=["fast"], limits=None, expires_in=None)
    assert changed["scopes"] == BOTH


async def test_the_audit_log_tells_who_was_made_an_admin_and_who_no_longer_is_one(admin: Person) -> None:
    key = await made(admin)
    for fields in ({"admin": True}, {"admin": True}, {"admin": False, "name": "laptop"}):
        await patched(admin, key, **fields)
    other = await made(admin, admin=True)
    assert await told(admin, "key.update") == [(key["id"], {"admin": False, "name": 1}), (key["id"], {"admin": True})]
    assert (await told(admin, "key.create"))[:2] == [(other["id"], {"admin": True}), (key["id"], {})]


@pytest.mark.parametrize("admin_is", [None, "yes", 1])
async def test_what_is_neither_true_nor_false_changes_nothing(admin: Person, admin_is: object) -> None:
    key = await made(admin, admin=True)
    error = refusal(await admin.http.patch(f"/admin/keys/{key['id']}", json={"admin": admin_is}), 400)
    assert error["param"] == "admin"
    assert (await admin.http.get(f"/admin/keys/{key['id']}")).json()["scopes"] == BOTH


async def test_nobody_makes_an_admin_of_themselves(ada: Person, admin: Person) -> None:
    key = await own(ada)
    error = refusal(await ada.http.patch(f"/admin/keys/{key['id']}", json={"admin": True}), 403)
    assert error["code"] == "insufficient_permissions"
    assert (await own(ada))["scopes"] == ["user"]
    assert await told(admin, "key.update") == []


async def test_a_successor_has_what_the_old_key_has_now(admin: Person) -> None:
    for start in (False, True):
        key = await made(admin, admin=start)
        await patched(admin, key, admin=not start)
        successor = (await admin.http.post(f"/admin/keys/{key['id']}/rotate", json={})).json()
        assert successor["scopes"] == (["user"] if start else BOTH)


async def test_a_key_that_takes_them_from_itself_is_told_what_it_is_now(gateway: Composed, admin: Person) -> None:
    assert (await patched(admin, await own(admin), admin=False))["scopes"] == ["user"]
    assert (await own(admin))["scopes"] == ["user"]
    refusal(await admin.http.get("/admin/keys"), 403)
    other = await gateway.person("second", admin=True)
    assert (await told(other, "key.update"))[0][1] == {"admin": False}


async def test_whoever_is_signed_in_with_the_key_has_what_the_key_has(gateway: Composed, admin: Person) -> None:
    key = await made(admin)
    browser = gateway.client()
    await browser.post("/dashboard/session", json={"key": key["key"]}, headers=OURS)

    async def signed_in() -> tuple[list[str], int]:
        scopes = (await browser.get("/dashboard/session")).json()["scopes"]
        return scopes, (await browser.get("/admin/users")).status_code

    assert await signed_in() == (["user"], 403)
    await patched(admin, key, admin=True)
    assert await signed_in() == (BOTH, 200)
    await patched(admin, key, admin=False)
    assert await signed_in() == (["user"], 403)
    refusal(await browser.patch(f"/admin/keys/{key['id']}", json={"admin": True}, headers=OURS), 403)


async def test_another_process_hears_of_it_when_it_no_longer_believes_the_key(store: Store) -> None:
    async with compose(store) as here, compose(store, {"auth": {"cache_seconds": 0}}) as there:
        root, eve = await here.person("root", admin=True), await here.person("eve", admin=True)
        elsewhere, browser = there.client(eve.key), there.client()
        await browser.post("/dashboard/session", json={"key": eve.key}, headers=OURS)
        for client in (elsewhere, browser):
            assert (await client.get("/admin/keys")).status_code == 200
        await patched(root, await own(eve), admin=False)
        for client in (elsewhere, browser):
            refusal(await client.get("/admin/keys"), 403)
            assert (await client.get("/v1/keys")).status_code == 200
