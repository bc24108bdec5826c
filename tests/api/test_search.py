"""GET /chat/sessions/search: what is found, for whom, and that a query is nothing but text."""

from pathlib import Path

import httpx
import pytest

from gateway.ports import Store
from tests.api.composed import STORES, Json, Person, new_store, refusal

SEARCH = "/chat/sessions/search"


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def found(person: Person, q: str, **params: str | int) -> list[Json]:
    response = await person.http.get(SEARCH, params={"q": q, **params})
    assert response.status_code == 200, response.text
    body = response.json()
    assert body.keys() == {"object", "data", "has_more"}
    hits: list[Json] = body["data"]
    return hits


async def test_a_message_is_found_with_its_place(ada: Person) -> None:
    session = await ada.new_session(session_name="Trip")
    await ada.say(session, "The ferry to Zürich leaves at nine.", model="echo")
    [asked, _] = await ada.messages(session)

    hits = await found(ada, "ferry zurich NINE")

    [hit] = [hit for hit in hits if hit["role"] == "user"]
    assert hit == {
        "session_id": session,
        "session_name": "Trip",
        "message_id": asked["id"],
        "seq": 1,
        "role": "user",
        "snippet": "The ferry to Zürich leaves at nine.",
        "created_at": asked["created_at"],
    }


async def test_a_title_is_found_without_a_message(ada: Person) -> None:
    session = await ada.session(await ada.new_session(session_name="Reise nach Bern"))
    [hit] = await found(ada, "bern")
    assert hit == {
        "session_id": session["session_id"],
        "session_name": "Reise nach Bern",
        "message_id": None,
        "seq": 0,
        "role": None,
        "snippet": "Reise nach Bern",
        "created_at": session["created_at"],
    }
    await ada.http.patch(f"/chat/sessions/{session['session_id']}", json={"session_name": "Reise nach Chur"})
    assert await found(ada, "bern") == []
    assert len(await found(ada, "chur")) == 1


async def test_everybody_finds_their_own(ada: Person, bob: Person) -> None:
    await ada.new_session(session_name="A secret harbour")
    await bob.new_session(session_name="A secret garden")
    assert [hit["session_name"] for hit in await found(ada, "secret")] == ["A secret harbour"]
    assert await found(bob, "harbour") == []


async def test_archived_sessions_are_found_when_asked_for_and_deleted_ones_never(ada: Person) -> None:
    archived, deleted = [await ada.new_session(session_name=f"Harbour {kind}") for kind in ("one", "two")]
    await ada.http.post(f"/chat/sessions/{archived}/archive")
    await ada.http.delete(f"/chat/sessions/{deleted}")
    assert await found(ada, "harbour") == []
    assert [hit["session_id"] for hit in await found(ada, "harbour", include_archived="true")] == [archived]


async def test_hits_come_in_exact_pages(ada: Person) -> None:
    for number in range(5):
        await ada.new_session(session_name=f"Harbour {number}")
    everything = await found(ada, "harbour")
    assert len(everything) == 5

    pages = [
        (await ada.http.get(SEARCH, params={"q": "harbour", "limit": 2, "offset": offset})).json()
        for offset in (0, 2, 4, 6)
    ]

    assert [hit for page in pages for hit in page["data"]] == everything
    assert [page["has_more"] for page in pages] == [True, True, False, False]


@pytest.mark.parametrize(
    ("q", "hits"),
    [
        ("", 0),
        ("   ", 0),
        ('"', 0),
        ("*", 0),
        ("harb*", 0),
        ("harbour*", 1),
        ('"night harbour"', 1),
        ("NOT harbour", 0),
        ("harbour OR nothing", 0),
        ("words:harbour", 0),
        ("NEAR(harbour, 5)", 0),
        ("harbour'; DROP TABLE sessions; --", 0),
        ("%", 0),
        ("_", 0),
        ("\\", 0),
        ("\0", 0),
        ("harbour\0", 1),
        ("(((", 0),
        ("& | ! <->", 0),
        ("harbour & !night", 1),
        ("<script>alert(1)</script>", 0),
        ("😀", 0),
        ("\u202e", 0),
        ("x" * 1000, 0),
        ("harbour " * 125, 1),
    ],
)
async def test_nothing_in_a_query_is_more_than_text(ada: Person, q: str, hits: int) -> None:
    await ada.new_session(session_name="The harbour at night")
    assert len(await found(ada, q)) == hits


async def test_a_snippet_is_plain_text_and_comes_as_json(ada: Person) -> None:
    await ada.new_session(session_name="<script>alert('harbour')</script>")
    response = await ada.http.get(SEARCH, params={"q": "harbour"})
    assert response.headers["content-type"] == "application/json"
    assert response.json()["data"][0]["snippet"] == "<script>alert('harbour')</script>"


async def test_a_query_that_is_no_text_at_all(ada: Person) -> None:
    """Bytes that are not UTF-8, half a surrogate pair among them."""
    response = await ada.http.get(httpx.URL(f"http://gateway.test{SEARCH}?q=%ED%A0%80%FF"))
    assert response.json()["data"] == []


@pytest.mark.parametrize(
    ("query", "param", "code", "said"),
    [
        ("", "q", "missing_required_parameter", "q"),
        ("?q=" + "x" * 1001, "q", "invalid_value", "at most 1000 characters"),
        ("?q=a&limit=101", "limit", "invalid_value", "from 1 to 100"),
        ("?q=a&offset=-1", "offset", "invalid_value", "from 0 to"),
        ("?q=a&include_archived=maybe", "include_archived", "invalid_value", "boolean"),
    ],
)
async def test_a_wrong_query_is_named(ada: Person, query: str, param: str, code: str, said: str) -> None:
    error = refusal(await ada.http.get(SEARCH + query), 400)
    assert (error["param"], error["code"]) == (param, code)
    assert said in error["message"]


async def test_searching_is_no_session(ada: Person) -> None:
    assert refusal(await ada.http.delete(SEARCH), 405)["code"] == "method_not_allowed"
