"""/admin/users: who there is, and erasing one with all that is theirs."""

from pathlib import Path

import pytest

from gateway.ports import Store
from tests.api.composed import STORES, Composed, Json, Person, new_store, refusal


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def test_users_are_listed_in_pages(ada: Person, bob: Person, admin: Person) -> None:
    everybody = (await admin.http.get("/admin/users")).json()
    rest: Json = {"status": "active", "limits": {}, "disabled_at": None}
    named = ((ada, "ada"), (bob, "bob"), (admin, "root"))
    shown = [{"id": person.user_id, "name": name, **rest} for person, name in named]
    assert sorted(everybody["data"], key=lambda user: user["name"]) == shown
    assert everybody["has_more"] is False

    pages = [(await admin.http.get(f"/admin/users?limit=2&offset={offset}")).json() for offset in (0, 2)]
    assert pages[0]["data"] + pages[1]["data"] == everybody["data"]
    assert [page["has_more"] for page in pages] == [True, False]


async def test_nothing_of_an_erased_user_is_left_but_the_accounts(
    gateway: Composed, ada: Person, bob: Person, admin: Person
) -> None:
    kept, gone, deleted = (
        await bob.new_session(),
        await ada.new_session(session_name="Harbour"),
        await ada.new_session(),
    )
    await ada.say(gone, "The harbour at night", model="echo")
    await ada.http.delete(f"/chat/sessions/{deleted}")

    response = await admin.http.delete(f"/admin/users/{ada.user_id}?purge=true")

    assert response.status_code == 200
    assert response.json() == {"object": "user.erased", "id": ada.user_id, "erased": True}
    assert {user["name"] for user in (await admin.http.get("/admin/users")).json()["data"]} == {"bob", "root"}
    assert {key["user"] for key in (await admin.http.get("/admin/keys")).json()["data"]} == {"bob", "root"}
    for session in (gone, deleted):
        assert await gateway.store.get_session(ada.user_id, session) is None
        assert not await gateway.store.purge_session(ada.user_id, session)
    assert (await gateway.store.search(ada.user_id, "harbour", limit=1, offset=0)).items == []
    assert [(entry.session_id, entry.request_id) for entry in await gateway.ledger(ada)] == [(None, "")]
    assert await bob.session(kept)


async def test_an_erased_users_keys_stop_at_once(gateway: Composed, ada: Person, bob: Person, admin: Person) -> None:
    second = await gateway.person("ada")
    for person in (ada, second, bob):
        assert (await person.http.get("/v1/models")).status_code == 200

    await admin.http.delete(f"/admin/users/{ada.user_id}?purge=true")

    for person in (ada, second):
        assert refusal(await person.http.get("/v1/models"), 401)["code"] == "invalid_api_key"
    assert (await bob.http.get("/v1/models")).status_code == 200


async def test_an_erased_user_whose_key_is_still_believed_elsewhere_makes_no_session(
    gateway: Composed, ada: Person
) -> None:
    await ada.new_session()
    await gateway.store.erase_user(ada.user_id)  # by another process: this one has just found the key valid
    error = refusal(await ada.http.post("/chat/sessions", json={}), 401)
    assert error["code"] == "invalid_api_key"


async def test_a_name_may_be_given_anew(gateway: Composed, ada: Person, admin: Person) -> None:
    await ada.new_session()
    await admin.http.delete(f"/admin/users/{ada.user_id}?purge=true")
    other = await gateway.person("ada")
    assert other.user_id != ada.user_id
    assert (await other.http.get("/chat/sessions")).json()["data"] == []


@pytest.mark.parametrize("query", ["", "?purge=false"])
async def test_erasing_wants_to_be_confirmed(ada: Person, admin: Person, query: str) -> None:
    error = refusal(await admin.http.delete(f"/admin/users/{ada.user_id}{query}"), 400)
    assert (error["param"], error["code"]) == ("purge", "confirmation_required")
    assert "?purge=true" in error["message"]
    assert "messages" in error["message"]
    assert (await ada.http.get("/v1/models")).status_code == 200


async def test_an_admin_cannot_erase_themselves(gateway: Composed, admin: Person) -> None:
    error = refusal(await admin.http.delete(f"/admin/users/{admin.user_id}?purge=true"), 409)
    assert (error["param"], error["code"]) == ("user_id", "own_user")
    assert (await admin.http.get("/admin/users")).status_code == 200

    other = await gateway.person("second", admin=True)
    assert (await other.http.delete(f"/admin/users/{admin.user_id}?purge=true")).status_code == 200
    assert (await admin.http.get("/admin/users")).status_code == 401


async def test_a_user_is_erased_once(ada: Person, admin: Person) -> None:
    path = f"/admin/users/{ada.user_id}?purge=true"
    assert (await admin.http.delete(path)).status_code == 200
    error = refusal(await admin.http.delete(path), 404)
    assert (error["param"], error["code"]) == ("user_id", "user_not_found")
