"""/admin/users beyond listing and erasing (test_users.py): making, limiting and disabling users."""

from pathlib import Path

import pytest

from gateway.domain import UserChanges
from gateway.ports import Store
from tests.api.composed import STORES, Composed, Json, Person, compose, new_store, refusal
from tests.contract.store.values import at


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def patched(admin: Person, user_id: str, **fields: object) -> Json:
    response = await admin.http.patch(f"/admin/users/{user_id}", json=fields)
    assert response.status_code == 200, response.text
    user: Json = response.json()
    assert (await admin.http.get(f"/admin/users/{user_id}")).json() == user
    return user


async def audited(admin: Person) -> list[tuple[str, str, Json]]:
    entries = (await admin.http.get("/admin/audit")).json()["data"]
    return [(entry["action"], entry["target"], entry["details"]) for entry in entries]


async def test_a_user_is_made_before_their_first_key(gateway: Composed, admin: Person) -> None:
    response = await admin.http.post("/admin/users", json={"name": "eve", "limits": {"dollars_per_day": 5}})
    assert response.status_code == 201
    user = response.json()
    assert user == {
        "id": user["id"],
        "name": "eve",
        "status": "active",
        "limits": {"dollars_per_day": 5.0},
        "disabled_at": None,
    }
    assert (await admin.http.get(f"/admin/users/{user['id']}")).json() == user
    assert (await gateway.person("eve")).user_id == user["id"]
    assert ("user.create", user["id"], {}) in await audited(admin)


async def test_a_name_is_one_users(ada: Person, admin: Person) -> None:
    error = refusal(await admin.http.post("/admin/users", json={"name": "ada"}), 409)
    assert (error["param"], error["code"]) == ("name", "user_exists")
    assert ada.user_id in error["message"]
    assert "user.create" not in [action for action, _, _ in await audited(admin)]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "with space"}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": "eve", "limits": {"parallel_calls": 0}}, "limits.parallel_calls"),
        ({"name": "eve", "disabled": True}, "disabled"),
    ],
)
async def test_a_user_who_cannot_be_made(admin: Person, body: Json, param: str) -> None:
    assert refusal(await admin.http.post("/admin/users", json=body), 400)["param"] == param
    assert len((await admin.http.get("/admin/users")).json()["data"]) == 1


async def test_limits_are_changed_one_by_one(ada: Person, admin: Person) -> None:
    await patched(admin, ada.user_id, limits={"parallel_calls": 2, "tokens_per_day": 10})
    user = await patched(admin, ada.user_id, limits={"parallel_calls": None, "dollars_per_day": 0.5})
    assert user["limits"] == {"tokens_per_day": 10, "dollars_per_day": 0.5}
    assert (await patched(admin, ada.user_id, limits=None))["limits"] == {}
    assert [entry[2] for entry in (await audited(admin))[:3]] == [{"limits": 0}, {"limits": 2}, {"limits": 2}]


async def test_changed_limits_count_at_once(ada: Person, admin: Person) -> None:
    await ada.say(None)
    await patched(admin, ada.user_id, limits={"requests_per_minute": 1})
    await ada.say(None)
    assert refusal(await ada.ask(None), 429)["code"] == "rate_limit_exceeded"


async def test_a_disabled_users_keys_stop_at_once_and_work_again(gateway: Composed, ada: Person, admin: Person) -> None:
    second = await gateway.person("ada")
    session = await ada.new_session()
    for person in (ada, second):
        assert (await person.http.get("/v1/models")).status_code == 200

    user = await patched(admin, ada.user_id, disabled=True)

    assert (user["status"], user["disabled_at"] is None) == ("disabled", False)
    for person in (ada, second):
        error = refusal(await person.http.get("/v1/models"), 401)
        assert error["code"] == "invalid_api_key"
        assert "disabled" in error["message"]
    assert await patched(admin, ada.user_id, disabled=True) == user
    assert (await patched(admin, ada.user_id, disabled=False))["status"] == "active"
    assert await ada.session(session)
    assert await second.session(session)
    actions = [entry for entry in await audited(admin) if entry[0].startswith("user.")]
    assert actions == [("user.enable", ada.user_id, {}), ("user.disable", ada.user_id, {})]


async def test_whoever_was_disabled_elsewhere_is_believed_no_longer_than_any_key(store: Store) -> None:
    async with compose(store, {"auth": {"cache_seconds": 0}}) as gateway:
        ada = await gateway.person()
        assert (await ada.http.get("/v1/models")).status_code == 200
        await store.update_user(ada.user_id, UserChanges(frozenset({"disabled_at"}), disabled_at=at(1)))
        assert (await ada.http.get("/v1/models")).status_code == 401


async def test_limits_and_disabling_in_one_request(ada: Person, admin: Person) -> None:
    user = await patched(admin, ada.user_id, disabled=True, limits={"parallel_calls": 1})
    assert (user["status"], user["limits"]) == ("disabled", {"parallel_calls": 1})
    assert [entry[0] for entry in (await audited(admin))[:2]] == ["user.disable", "user.update"]


async def test_an_admin_cannot_disable_themselves(admin: Person) -> None:
    error = refusal(await admin.http.patch(f"/admin/users/{admin.user_id}", json={"disabled": True}), 409)
    assert (error["param"], error["code"]) == ("user_id", "own_user")
    assert "gateway users disable" in error["message"]
    assert (await patched(admin, admin.user_id, disabled=False, limits={"parallel_calls": 5}))["status"] == "active"


@pytest.mark.parametrize("user_id", ["user_nope", "ada", "ключ"])
async def test_a_user_who_there_is_not(ada: Person, admin: Person, user_id: str) -> None:
    for method, body in (("GET", {}), ("PATCH", {}), ("PATCH", {"disabled": True})):
        error = refusal(await admin.http.request(method, f"/admin/users/{user_id}", json=body), 404)
        assert (error["param"], error["code"]) == ("user_id", "user_not_found")
    assert (await ada.http.get("/v1/models")).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", "/x"), ("PATCH", "/x")])
async def test_users_are_for_admins(ada: Person, method: str, path: str) -> None:
    refusal(await ada.http.request(method, f"/admin/users{path}", json={"name": "eve"}), 403)
