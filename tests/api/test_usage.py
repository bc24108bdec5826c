"""/v1/usage and /admin/usage: what turns came to, for those who made them and for admins."""

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import MAX_USAGE_ROWS, Usage, User
from gateway.ports import ClosedTurn, Store
from tests.api.composed import STORES, Composed, Json, Person, new_store, refusal
from tests.contract.store.values import make_entry
from tests.stubs.openai_wire import Json as Whole
from tests.stubs.openai_wire import error

BOTH = ["/v1/usage", "/admin/usage"]
MARCH = "from=2026-03-01&to=2026-04-01"


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def spend(store: Store, person: Person, **fields: Any) -> None:
    """A turn on 2026-03-01 at noon, of seven tokens in and three out, unless told otherwise."""
    await store.close_turn(ClosedTurn(make_entry(None, User(person.user_id, ""), **fields)))


async def shown(person: Person, path: str) -> Json:
    response = await person.http.get(path)
    assert response.status_code == 200, response.text
    body: Json = response.json()
    return body


async def groups(person: Person, path: str) -> list[tuple[Any, Any, int]]:
    return [(row["group"], row["name"], row["turns"]) for row in (await shown(person, path))["data"]]


async def lines(person: Person, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((await person.http.get(path)).text, newline="")))


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_report_is_a_list_with_its_range_and_totals(store: Store, ada: Person) -> None:
    await spend(store, ada, usage=Usage(100, 10, 40, 4), cost=0.25)
    await spend(store, ada, model="slow")
    row = {
        "turns": 1,
        "failed_turns": 0,
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "cached_tokens": 40,
        "reasoning_tokens": 4,
        "cost": 0.25,
        "unpriced_turns": 0,
    }
    other = {**row, "prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 0, "reasoning_tokens": 0}
    assert await shown(ada, f"/v1/usage?group_by=model&{MARCH}") == {
        "object": "list",
        "data": [
            {"group": "fast", "name": None, **row},
            {"group": "slow", "name": None, **other, "cost": None, "unpriced_turns": 1},
        ],
        "has_more": False,
        "group_by": "model",
        "from": "2026-03-01T00:00:00.000000Z",
        "to": "2026-04-01T00:00:00.000000Z",
        "totals": {**row, "turns": 2, "prompt_tokens": 107, "completion_tokens": 13, "unpriced_turns": 1},
    }


async def test_calls_are_counted_as_they_end(gateway: Composed, ada: Person) -> None:
    await ada.say(None)
    gateway.stub.reply_with(Whole(error("slow down"), status=429))
    await ada.ask(None)
    totals = (await shown(ada, "/v1/usage"))["totals"]
    assert (totals["turns"], totals["failed_turns"]) == (2, 1)
    assert (totals["prompt_tokens"], totals["completion_tokens"], totals["cached_tokens"]) == (11, 7, 4)


async def test_without_a_range_it_is_the_last_30_days_by_day(store: Store, ada: Person) -> None:
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    for days in (31, 15):
        await spend(store, ada, created_at=tomorrow - timedelta(days=days))
    report = await shown(ada, "/v1/usage")
    until = datetime.fromisoformat(report["to"])
    assert until - tomorrow in (timedelta(0), timedelta(days=1))  # midnight may have passed meanwhile
    assert datetime.fromisoformat(report["from"]) == until - timedelta(days=30)
    assert [row["group"] for row in report["data"]] == [str((tomorrow - timedelta(days=15)).date())]


async def test_a_range_that_is_only_given_its_end_has_30_days(ada: Person) -> None:
    assert (await shown(ada, "/v1/usage?to=2026-03-31"))["from"] == "2026-03-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2026-03-01", "2026-03-01T00:00:00.000000Z"),
        ("2026-03-01T12:30:00Z", "2026-03-01T12:30:00.000000Z"),
        ("2026-03-01t12:30:00.25z", "2026-03-01T12:30:00.250000Z"),
        ("2026-03-01T12:30:00%2B02:00", "2026-03-01T10:30:00.000000Z"),
    ],
)
async def test_a_date_is_its_first_moment_in_utc_and_a_time_says_its_offset(
    ada: Person, given: str, meant: str
) -> None:
    assert (await shown(ada, f"/v1/usage?from={given}"))["from"] == meant


# ── whose it is ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("group_by", ["user", "key", "model", "day", "hour", "session"])
async def test_a_users_key_sees_only_its_own(store: Store, ada: Person, bob: Person, group_by: str) -> None:
    await spend(store, ada)
    for _ in range(2):
        await spend(store, bob)
    for asked in ("", f"&user={bob.user_id}", "&user=bob", f"&user_id={bob.user_id}"):
        report = await shown(ada, f"/v1/usage?group_by={group_by}&{MARCH}{asked}")
        assert ([row["turns"] for row in report["data"]], report["totals"]["turns"]) == ([1], 1)
        assert bob.user_id not in str(report)


async def test_everyones_is_for_admins(ada: Person) -> None:
    assert refusal(await ada.http.get("/admin/usage"), 403)["code"] == "insufficient_permissions"


async def test_an_admin_sees_everyones_there_and_their_own_elsewhere(
    store: Store, ada: Person, bob: Person, admin: Person
) -> None:
    await spend(store, ada, cost=2.0)
    await spend(store, bob, cost=1.0)
    found = await groups(admin, f"/admin/usage?group_by=user&{MARCH}")
    assert found == [(ada.user_id, "ada", 1), (bob.user_id, "bob", 1)]
    assert await groups(admin, f"/v1/usage?group_by=user&{MARCH}") == []


async def test_an_admin_may_ask_for_one_user_by_name_or_id(
    store: Store, ada: Person, bob: Person, admin: Person
) -> None:
    await spend(store, ada)
    await spend(store, bob)
    for asked in ("bob", bob.user_id):
        assert await groups(admin, f"/admin/usage?group_by=user&{MARCH}&user={asked}") == [(bob.user_id, "bob", 1)]


async def test_an_erased_users_turns_are_found_by_the_id(store: Store, ada: Person, admin: Person) -> None:
    await spend(store, ada)
    await admin.http.delete(f"/admin/users/{ada.user_id}?purge=true")
    path = f"/admin/usage?group_by=user&{MARCH}&user="
    assert await groups(admin, path + ada.user_id) == [(ada.user_id, None, 1)]
    error = refusal(await admin.http.get(path + "ada"), 404)
    assert (error["param"], error["code"]) == ("user", "user_not_found")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("group_by=month", "group_by"),
        ("group_by=", "group_by"),
        ("format=xml", "format"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=20260301", "from"),
        ("from=2026-03-01T12:30:00", "from"),
        ("from=2026-03-01T12:30:00+02:00", "from"),  # a plus sign in a query is a space
        ("from=1969-12-31", "from"),
        ("to=0001-01-01T00:00:00%2B14:00", "to"),
        ("to=9999-12-31T23:59:59-01:00", "to"),
        ("to=", "to"),
        ("from=2026-03-01&to=2026-03-01", "from"),
        ("from=2026-03-02&to=2026-03-01", "from"),
        ("from=9999-12-31", "from"),
    ],
)
async def test_what_cannot_be_asked_for_is_named(admin: Person, path: str, query: str, param: str) -> None:
    error = refusal(await admin.http.get(f"{path}?{query}"), 400)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, "invalid_value")
    assert error["message"].startswith(f"Invalid '{param}': ")


async def test_the_earliest_and_the_latest_times_can_be_asked_for(ada: Person) -> None:
    report = await shown(ada, "/v1/usage?from=1970-01-01&to=9999-12-31T23:59:59.999999Z")
    assert (report["from"], report["data"]) == ("1970-01-01T00:00:00.000000Z", [])
    assert (await shown(ada, "/v1/usage?to=1970-01-01"))["from"] == "1969-12-02T00:00:00.000000Z"


async def test_a_report_has_ten_thousand_rows_at_most(store: Store, ada: Person) -> None:
    await asyncio.gather(*[spend(store, ada, model=f"model-{number}") for number in range(MAX_USAGE_ROWS)])
    path = f"/v1/usage?group_by=model&{MARCH}"
    assert len((await shown(ada, path))["data"]) == MAX_USAGE_ROWS == 10_000
    await spend(store, ada, model="one-more")
    error = refusal(await ada.http.get(path), 400)
    assert (error["param"], error["code"]) == ("from", "too_many_rows")
    assert "10000 rows" in error["message"]
    assert "Narrow the range" in error["message"]


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_csv_has_a_line_of_headings_and_a_line_a_row(store: Store, ada: Person, admin: Person) -> None:
    await spend(store, ada, usage=Usage(100, 10, 40, 4), cost=0.25)
    response = await admin.http.get(f"/admin/usage?format=csv&group_by=user&{MARCH}")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    assert response.text == (
        "group,name,turns,failed_turns,prompt_tokens,completion_tokens,cached_tokens,reasoning_tokens,cost,"
        f"unpriced_turns\r\n{ada.user_id},ada,1,0,100,10,40,4,0.25,0\r\n"
    )


async def test_what_is_not_known_is_an_empty_cell(store: Store, ada: Person) -> None:
    await spend(store, ada)
    [line] = await lines(ada, f"/v1/usage?format=csv&group_by=session&{MARCH}")
    assert (line["group"], line["name"], line["cost"], line["unpriced_turns"]) == ("", "", "", "1")


@pytest.mark.parametrize("first", list("=+-@\t\r"))
async def test_no_cell_is_a_formula(store: Store, ada: Person, first: str) -> None:
    await spend(store, ada, model=f'{first}HYPERLINK("http://x.test")')
    [line] = await lines(ada, f"/v1/usage?format=csv&group_by=model&{MARCH}")
    assert line["group"] == f"""'{first}HYPERLINK("http://x.test")"""


@pytest.mark.parametrize("model", ['a "quoted" one', "one, two", "one\r\ntwo", "é=1"])
async def test_other_cells_are_what_they_were(store: Store, ada: Person, model: str) -> None:
    await spend(store, ada, model=model)
    [line] = await lines(ada, f"/v1/usage?format=csv&group_by=model&{MARCH}")
    assert line["group"] == model


async def test_json_leaves_names_as_they_are(store: Store, ada: Person) -> None:
    await spend(store, ada, model="=1+1")
    assert await groups(ada, f"/v1/usage?group_by=model&{MARCH}") == [("=1+1", None, 1)]
