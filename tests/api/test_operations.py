"""/v1/models, /healthz, /readyz and /openapi.json."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import __version__
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Json, Person, compose, refusal
from tests.stubs.openai_wire import Json as Whole

# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_models_are_listed_in_the_order_of_the_settings(ada: Person) -> None:
    listed = (await ada.http.get("/v1/models")).json()
    created = listed["data"][0]["created"]
    assert isinstance(created, int)
    owners = {"fast": "openai", "slow": "openai", "echo": "echo"}
    models = [{"id": name, "object": "model", "created": created, "owned_by": owner} for name, owner in owners.items()]
    assert listed == {"object": "list", "data": models}
    assert (await ada.http.get("/v1/models/echo")).json() == models[2]


async def test_a_models_id_may_hold_slashes() -> None:
    models = [{"name": "*", "model": "*"}, {"name": "team/fast", "model": "echo"}]
    async with compose(InMemoryStore(), {"models": models}, environ={"GROQ_API_KEY": "x"}) as gateway:
        ada = await gateway.person()
        assert (await ada.http.get("/v1/models/team/fast")).json()["owned_by"] == "echo"
        assert (await ada.http.get("/v1/models/groq/llama-3.3-70b")).json()["owned_by"] == "groq"
        error = refusal(await ada.http.get("/v1/models/cerebras/llama-3.3-70b"), 404)
        assert (error["param"], error["code"]) == ("model", "model_not_found")
        assert "CEREBRAS_API_KEY" in error["message"]
        assert [model["id"] for model in (await ada.http.get("/v1/models")).json()["data"]] == ["team/fast"]


# ── /openapi.json ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def document(gateway: Composed) -> Json:
    response = await gateway.client().get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document: Json = response.json()
    return document


ROUTES = {
    ("post", "/v1/chat/completions"),
    ("get", "/v1/models"),
    ("get", "/v1/models/{model}"),
    ("post", "/chat/sessions"),
    ("get", "/chat/sessions"),
    ("get", "/chat/sessions/{session_id}"),
    ("put", "/chat/sessions/{session_id}"),
    ("patch", "/chat/sessions/{session_id}"),
    ("delete", "/chat/sessions/{session_id}"),
    ("get", "/chat/sessions/search"),
    ("get", "/chat/sessions/{session_id}/messages"),
    ("get", "/chat/sessions/{session_id}/stats"),
    ("get", "/chat/sessions/{session_id}/export"),
    ("post", "/chat/sessions/{session_id}/archive"),
    ("post", "/chat/sessions/{session_id}/unarchive"),
    ("post", "/admin/keys"),
    ("get", "/admin/keys"),
    ("get", "/admin/keys/{key_id}"),
    ("patch", "/admin/keys/{key_id}"),
    ("delete", "/admin/keys/{key_id}"),
    ("post", "/admin/keys/{key_id}/rotate"),
    ("get", "/v1/keys"),
    ("post", "/admin/users"),
    ("get", "/admin/users/{user_id}"),
    ("patch", "/admin/users/{user_id}"),
    ("get", "/admin/users"),
    ("delete", "/admin/users/{user_id}"),
    ("get", "/admin/audit"),
    ("get", "/admin/usage"),
    ("get", "/v1/usage"),
    ("get", "/v1/activity"),
    ("get", "/admin/activity"),
    ("get", "/v1/turns"),
    ("get", "/admin/turns"),
    ("get", "/admin/users/{user_id}/sessions"),
    ("get", "/admin/users/{user_id}/sessions/search"),
    ("get", "/admin/users/{user_id}/sessions/{session_id}"),
    ("get", "/admin/users/{user_id}/sessions/{session_id}/messages"),
    ("get", "/admin/users/{user_id}/sessions/{session_id}/stats"),
    ("get", "/admin/users/{user_id}/sessions/{session_id}/export"),
    ("get", "/admin/live"),
    ("get", "/metrics"),
    ("get", "/healthz"),
    ("get", "/readyz"),
}


def operations(document: Json) -> dict[tuple[str, str], Json]:
    return {(method, path): each for path, methods in document["paths"].items() for method, each in methods.items()}


async def test_the_document_lists_every_route(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == __version__
    assert operations(document).keys() == ROUTES


async def test_every_route_that_it_lists_is_there(document: Json, admin: Person) -> None:
    for method, path in operations(document):
        url = path.format(model="echo", session_id="x", key_id="x", user_id="x")
        response = await admin.http.request(method, url, json={})
        is_json = response.headers["content-type"].startswith("application/json")
        found = response.json().get("error", {}).get("code") if is_json else None
        assert found not in {"unknown_url", "method_not_allowed", "internal_error"}, (method, path)


BODYLESS = {"/chat/sessions/{session_id}/archive", "/chat/sessions/{session_id}/unarchive"}
CREATING = {"/chat/sessions", "/admin/keys", "/admin/keys/{key_id}/rotate", "/admin/users"}


async def test_every_operation_says_what_it_takes_and_gives(document: Json) -> None:
    for (method, path), operation in operations(document).items():
        in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert ("requestBody" in operation) == (method in {"post", "put", "patch"} and path not in BODYLESS)
        assert operation["summary"]
        [success] = [status for status in operation["responses"] if status.startswith("2")]
        assert success == ("201" if method == "post" and path in CREATING else "200")
        error = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert error == {"$ref": "#/components/schemas/ErrorOutput"}
        assert (operation.get("security") == []) == (path in {"/healthz", "/readyz"})


async def test_every_reference_leads_somewhere(document: Json) -> None:
    references = set(_references(document))
    assert references
    for reference in references:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert isinstance(place, dict)


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _references(item)


async def test_what_is_answered_is_what_is_described(
    gateway: Composed, document: Json, ada: Person, admin: Person
) -> None:
    session = await ada.new_session()
    await ada.say(session, model="echo")
    eve = await gateway.person("eve")
    made = (await admin.http.post("/admin/keys", json={"user": "eve"})).json()
    erased = (await admin.http.delete(f"/admin/users/{eve.user_id}?purge=true")).json()
    doomed = await ada.new_session()

    async def first(person: Person, path: str) -> Json:
        shown: Json = (await person.http.get(path)).json()["data"][0]
        return shown

    audited = await first(admin, "/admin/audit")
    usage = (await ada.http.get("/v1/usage")).json()
    gateway.stub.reply_with(Whole({}, status=500))
    await ada.ask(session)
    activity = (await ada.http.get("/v1/activity")).json()
    turn = await first(ada, "/v1/turns")
    live = (await admin.http.get("/admin/live")).json()
    for schema, shown in [
        ("SessionOutput", await ada.session(session)),
        ("MessageOutput", (await ada.messages(session))[0]),
        ("StatsOutput", (await ada.http.get(f"/chat/sessions/{session}/stats")).json()),
        ("HitOutput", await first(ada, "/chat/sessions/search?q=hello")),
        ("DeletedSessionOutput", (await ada.http.delete(f"/chat/sessions/{doomed}")).json()),
        ("NewKeyOutput", made),
        ("KeyOutput", await first(admin, "/admin/keys")),
        ("UserOutput", await first(admin, "/admin/users")),
        ("ErasedUserOutput", erased),
        ("AuditOutput", audited),
        ("ActorOutput", audited["actor"]),
        ("UsageOutput", usage),
        ("UsageRowOutput", usage["data"][0]),
        ("UsageTotals", usage["totals"]),
        ("ActivityOutput", activity),
        ("ActivityPointOutput", activity["data"][0]),
        ("ActivityTotals", activity["totals"]),
        ("ErrorCountOutput", activity["errors"][0]),
        ("TurnOutput", turn),
        ("TurnUserOutput", turn["user"]),
        ("LiveOutput", live),
        ("InFlightOutput", live["in_flight"]),
        ("ModelOutput", (await ada.http.get("/v1/models/echo")).json()),
        ("ErrorOutput", (await ada.http.get("/nope")).json()),
    ]:
        described = document["components"]["schemas"][schema]
        assert set(described["required"]) <= shown.keys()
        assert schema == "MessageOutput" or shown.keys() == described["properties"].keys()


async def test_pages_are_described_with_their_ranges(document: Json) -> None:
    messages = operations(document)["get", "/chat/sessions/{session_id}/messages"]
    limits = {each["name"]: each["schema"] for each in messages["parameters"] if each["in"] == "query"}
    assert {"minimum": 1, "maximum": 500, "default": 50}.items() <= limits["limit"].items()
    assert {"minimum": 0, "default": 0}.items() <= limits["offset"].items()


async def test_what_a_query_must_have_and_what_is_a_pair(document: Json) -> None:
    by_name = {each["name"]: each for each in operations(document)["get", "/chat/sessions/search"]["parameters"]}
    assert {name for name, each in by_name.items() if each["required"]} == {"q"}
    sessions = {each["name"]: each for each in operations(document)["get", "/chat/sessions"]["parameters"]}
    assert (sessions["metadata"]["style"], sessions["metadata"]["explode"]) == ("deepObject", True)
    assert "style" not in sessions["limit"]


async def test_an_export_is_described_as_lines(document: Json) -> None:
    export = operations(document)["get", "/chat/sessions/{session_id}/export"]
    assert list(export["responses"]["200"]["content"]) == ["application/x-ndjson"]


@pytest.mark.parametrize("path", ["/v1/usage", "/admin/usage"])
async def test_usage_is_described_as_json_and_csv(document: Json, path: str) -> None:
    usage = operations(document)["get", path]
    assert list(usage["responses"]["200"]["content"]) == ["application/json", "text/csv"]
    asked = {each["name"]: each["schema"] for each in usage["parameters"]}
    assert asked.keys() - {"user"} == {"group_by", "from", "to", "format"}
    assert asked["group_by"]["enum"] == ["user", "key", "model", "day", "hour", "session"]


async def test_only_a_new_session_and_a_rotation_may_be_asked_for_without_a_body(document: Json) -> None:
    bodies = {
        route: each["requestBody"]["required"] for route, each in operations(document).items() if "requestBody" in each
    }
    optional = [route for route, required in bodies.items() if not required]
    assert optional == [("post", "/chat/sessions"), ("post", "/admin/keys/{key_id}/rotate")]
