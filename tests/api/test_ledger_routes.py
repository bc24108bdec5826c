"""/v1/turns, /v1/activity and the same below /admin: the ledger, for those who made its turns and for admins."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import Status, Usage, User
from gateway.ledger import MAX_POINTS
from gateway.ports import ClosedTurn, Store
from tests.api.composed import STORES, Composed, Json, Person, new_store, refusal
from tests.contract.store.values import make_entry, make_session
from tests.stubs.openai_wire import Json as Whole
from tests.stubs.openai_wire import error

MARCH = "from=2026-03-01&to=2026-04-01"
DAY = "from=2026-03-01&to=2026-03-02"
ALL = ["/v1/turns", "/admin/turns", "/v1/activity", "/admin/activity"]


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


async def listed(person: Person, path: str) -> list[Json]:
    data: list[Json] = (await shown(person, path))["data"]
    return data


# ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_turn_is_shown_as_the_ledger_has_it(store: Store, ada: Person) -> None:
    await spend(
        store,
        ada,
        turn_id="turn_1",
        usage=Usage(100, 10, 40, 4, estimated=True),
        cost=0.25,
        status=Status.FAILED,
        error_status=429,
        error_code="rate_limited",
        latency_ms=12.3456,
        overhead_ms=0.25,
        history_messages=3,
        history_tokens=30,
        history_trimmed=1,
    )
    assert await shown(ada, f"/v1/turns?{MARCH}") == {
        "object": "list",
        "data": [
            {
                "turn_id": "turn_1",
                "request_id": "req_1",
                "user": {"id": ada.user_id, "name": "ada"},
                "key_id": "key_1",
                "session_id": None,
                "model": "fast",
                "provider": "openai",
                "provider_model": "gpt-4o-mini",
                "deployment": None,
                "stream": False,
                "status": "failed",
                "created_at": "2026-03-01T12:00:00.123456Z",
                "prompt_tokens": 100,
                "completion_tokens": 10,
                "cached_tokens": 40,
                "reasoning_tokens": 4,
                "usage_estimated": True,
                "cost": 0.25,
                "finish_reason": None,
                "error_status": 429,
                "error_code": "rate_limited",
                "latency_ms": 12.346,
                "ttft_ms": None,
                "overhead_ms": 0.25,
                "history_messages": 3,
                "history_tokens": 30,
                "history_trimmed": 1,
            }
        ],
        "has_more": False,
    }


async def test_calls_are_listed_as_they_end(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    await ada.say(session)
    gateway.stub.reply_with(Whole(error("slow down"), status=429))
    await ada.ask(None)
    found = [(turn["session_id"], turn["status"], turn["error_status"]) for turn in await listed(ada, "/v1/turns")]
    assert found == [(None, "failed", 429), (session, "complete", None)]


async def test_the_slowest_turns_come_first_if_asked_for(store: Store, ada: Person) -> None:
    for latency in (1.0, 3.0, 2.0):
        await spend(store, ada, latency_ms=latency)
    turns = await listed(ada, f"/v1/turns?order=slowest&{MARCH}")
    assert [turn["latency_ms"] for turn in turns] == [3.0, 2.0, 1.0]


async def test_turns_come_in_pages(store: Store, ada: Person) -> None:
    for hour in range(3):
        await spend(store, ada, turn_id=f"turn_{hour}", created_at=datetime(2026, 3, 1, hour, tzinfo=UTC))
    first, rest = [await shown(ada, f"/v1/turns?limit=2&offset={offset}&{MARCH}") for offset in (0, 2)]
    assert [turn["turn_id"] for turn in first["data"] + rest["data"]] == ["turn_2", "turn_1", "turn_0"]
    assert (first["has_more"], rest["has_more"]) == (True, False)


@pytest.mark.parametrize(
    "asked", ["model=slow", "key=key_9", "session_id=mine", "status=failed", "error=bad", "error=502"]
)
async def test_turns_can_be_asked_for_by_what_they_are(store: Store, admin: Person, ada: Person, asked: str) -> None:
    await spend(store, ada)
    fields = {"model": "slow", "key_id": "key_9", "status": Status.FAILED, "error_status": 502, "error_code": "bad"}
    owner = User(ada.user_id, "")
    purged = make_session("mine", owner)
    await store.close_turn(ClosedTurn(make_entry(purged, owner, turn_id="turn_9", **fields)))
    for person, path in ((ada, "/v1/turns"), (admin, "/admin/turns")):
        assert [turn["turn_id"] for turn in await listed(person, f"{path}?{asked}&{MARCH}")] == ["turn_9"]


async def test_turns_are_those_of_30_days_unless_told_otherwise(store: Store, ada: Person) -> None:
    now = datetime.now(UTC)
    for days in (0, 28, 32):
        await spend(store, ada, turn_id=f"turn_{days}", created_at=now - timedelta(days=days))
    assert [turn["turn_id"] for turn in await listed(ada, "/v1/turns")] == ["turn_0", "turn_28"]


# ── activity ─────────────────────────────────────────────────────────────────────────────────────────────────────

NOTHING = {
    "turns": 0,
    "failed_turns": 0,
    "incomplete_turns": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "cost": None,
    **{f"{name}_{rank}_ms": None for name in ("latency", "ttft", "overhead") for rank in ("p50", "p95", "p99")},
}


async def test_activity_has_every_point_of_its_range(store: Store, ada: Person) -> None:
    await spend(store, ada, cost=0.25, latency_ms=10.0, ttft_ms=1.0, overhead_ms=0.5)
    await spend(store, ada, status=Status.INCOMPLETE, latency_ms=20.12345)
    await spend(store, ada, status=Status.FAILED, error_status=502, error_code="bad", latency_ms=99.0)
    sums = {
        **NOTHING,
        "turns": 3,
        "failed_turns": 1,
        "incomplete_turns": 1,
        "prompt_tokens": 21,
        "completion_tokens": 9,
        "cost": 0.25,
        "latency_p50_ms": 10.0,
        "latency_p95_ms": 20.123,
        "latency_p99_ms": 20.123,
        **{f"ttft_{rank}_ms": 1.0 for rank in ("p50", "p95", "p99")},
        **{f"overhead_{rank}_ms": 0.5 for rank in ("p50", "p95", "p99")},
    }
    assert await shown(ada, "/v1/activity?step=1h&from=2026-03-01T11:30:00Z&to=2026-03-01T14:00:00Z") == {
        "object": "list",
        "data": [
            {"start": "2026-03-01T11:00:00.000000Z", **NOTHING},
            {"start": "2026-03-01T12:00:00.000000Z", **sums},
            {"start": "2026-03-01T13:00:00.000000Z", **NOTHING},
        ],
        "has_more": False,
        "step": "1h",
        "from": "2026-03-01T11:30:00.000000Z",
        "to": "2026-03-01T14:00:00.000000Z",
        "totals": sums,
        "errors": [{"code": "bad", "status": 502, "turns": 1}],
    }


@pytest.mark.parametrize(
    ("until", "step", "points"),
    [
        ("2026-03-01T00:00:00.000001Z", "1m", 1),
        ("2026-03-01T03:20:00Z", "1m", 200),
        ("2026-03-01T03:20:00.000001Z", "5m", 41),
        ("2026-03-02", "15m", 96),
        ("2026-03-08", "1h", 168),
        ("2026-03-31", "6h", 120),
        ("2026-08-01", "1d", 153),
        ("2027-03-01", "1d", 365),
    ],
)
async def test_the_step_is_the_finest_that_makes_200_points_at_most(
    ada: Person, until: str, step: str, points: int
) -> None:
    told = await shown(ada, f"/v1/activity?from=2026-03-01&to={until}")
    assert (told["step"], len(told["data"])) == (step, points)


async def test_activity_is_that_of_a_day_unless_told_otherwise(gateway: Composed, ada: Person) -> None:
    before = datetime.now(UTC)
    gateway.stub.reply_with(Whole(error("slow down"), status=429))
    await ada.ask(None)
    told = await shown(ada, "/v1/activity")
    since, until = datetime.fromisoformat(told["from"]), datetime.fromisoformat(told["to"])
    assert before < until <= datetime.now(UTC)
    assert until - since == timedelta(hours=24)
    assert (told["step"], told["totals"]["turns"], told["totals"]["failed_turns"]) == ("15m", 1, 1)
    assert [error["status"] for error in told["errors"]] == [429]
    assert told["data"][-1]["turns"] == 1


@pytest.mark.parametrize("asked", ["model=slow", "key=key_9"])
async def test_activity_of_one_model_or_key(store: Store, ada: Person, admin: Person, asked: str) -> None:
    await spend(store, ada)
    await spend(store, ada, model="slow", key_id="key_9", error_status=500)
    for person, path in ((ada, "/v1/activity"), (admin, "/admin/activity")):
        told = await shown(person, f"{path}?{asked}&{DAY}")
        assert (told["totals"]["turns"], sum(point["turns"] for point in told["data"])) == (1, 1)
        assert len(told["errors"]) == 1


@pytest.mark.parametrize("path", ["/v1/activity", "/admin/activity"])
async def test_there_are_so_many_points_and_no_more(admin: Person, path: str) -> None:
    end = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=MAX_POINTS)
    most = f"{path}?step=1m&from=2026-03-01&to={end:%Y-%m-%dT%H:%M:%S}"
    assert len((await shown(admin, f"{most}Z"))["data"]) == MAX_POINTS
    found = refusal(await admin.http.get(f"{most}.000001Z"), 400)
    assert (found["param"], found["code"]) == ("step", "too_many_points")
    assert found["message"].startswith("In steps of 1m that are 1,501 points; there may be 1,500.")
    assert refusal(await admin.http.get(f"{path}?from=1970-01-01"), 400)["code"] == "too_many_points"


# ── whose it is ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_users_key_sees_only_its_own(store: Store, ada: Person, bob: Person) -> None:
    await spend(store, ada, latency_ms=1.0)
    for _ in range(2):
        await spend(store, bob, latency_ms=9.0, error_status=500, error_code="bobs")
    for asked in ("", f"&user={bob.user_id}", "&user=bob", f"&user_id={bob.user_id}", "&order=slowest", "&key=key_1"):
        turns = await listed(ada, f"/v1/turns?{MARCH}{asked}")
        assert [turn["user"]["id"] for turn in turns] == [ada.user_id]
        told = await shown(ada, f"/v1/activity?{DAY}{asked}")
        assert (told["totals"]["turns"], told["totals"]["latency_p99_ms"], told["errors"]) == (1, 1.0, [])
    assert await listed(ada, f"/v1/turns?{MARCH}&error=bobs") == []


@pytest.mark.parametrize("path", ["/admin/turns", "/admin/activity", "/admin/live"])
async def test_everyones_is_for_admins(gateway: Composed, ada: Person, path: str) -> None:
    assert refusal(await ada.http.get(path), 403)["code"] == "insufficient_permissions"
    refusal(await gateway.client().get(path), 401)


async def test_an_admin_sees_everyones_there_and_their_own_elsewhere(
    store: Store, ada: Person, bob: Person, admin: Person
) -> None:
    for person in (ada, bob):
        await spend(store, person)
    turns = await listed(admin, f"/admin/turns?{MARCH}")
    assert {(turn["user"]["id"], turn["user"]["name"]) for turn in turns} == {
        (ada.user_id, "ada"),
        (bob.user_id, "bob"),
    }
    assert (await shown(admin, f"/admin/activity?{DAY}"))["totals"]["turns"] == 2
    assert await listed(admin, f"/v1/turns?{MARCH}") == []
    assert (await shown(admin, f"/v1/activity?{DAY}"))["totals"]["turns"] == 0


async def test_an_admin_may_ask_for_one_user_by_name_or_id(
    store: Store, ada: Person, bob: Person, admin: Person
) -> None:
    for person in (ada, bob, bob):
        await spend(store, person)
    for asked in ("bob", bob.user_id):
        assert len(await listed(admin, f"/admin/turns?{MARCH}&user={asked}")) == 2
        assert (await shown(admin, f"/admin/activity?{DAY}&user={asked}"))["totals"]["turns"] == 2
    for path in ("/admin/turns", "/admin/activity"):
        assert refusal(await admin.http.get(f"{path}?user=nobody"), 404)["code"] == "user_not_found"


async def test_an_erased_users_turns_are_found_by_the_id(store: Store, ada: Person, admin: Person) -> None:
    await spend(store, ada)
    await admin.http.delete(f"/admin/users/{ada.user_id}?purge=true")
    [turn] = await listed(admin, f"/admin/turns?{MARCH}&user={ada.user_id}")
    assert (turn["user"], turn["request_id"]) == ({"id": ada.user_id, "name": None}, None)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        *[(path, "from=yesterday", "from") for path in ALL],
        *[(path, "to=", "to") for path in ALL],
        *[(path, "from=2026-03-02&to=2026-03-01", "from") for path in ALL],
        *[(path, "step=2h", "step") for path in ALL[2:]],
        *[(path, "order=oldest", "order") for path in ALL[:2]],
        *[(path, "status=done", "status") for path in ALL[:2]],
        *[(path, "limit=501", "limit") for path in ALL[:2]],
        *[(path, "offset=-1", "offset") for path in ALL[:2]],
    ],
)
async def test_what_cannot_be_asked_for_is_named(admin: Person, path: str, query: str, param: str) -> None:
    found = refusal(await admin.http.get(f"{path}?{query}"), 400)
    assert (found["type"], found["param"], found["code"]) == ("invalid_request_error", param, "invalid_value")


@pytest.mark.parametrize("asked", ["model=%00", "key=%00", "model=", "session_id=%00", "error=%00"])
async def test_what_nothing_can_be_called_finds_nothing(ada: Person, asked: str) -> None:
    await ada.say(None)
    assert await listed(ada, f"/v1/turns?{asked}") == []


# ── now ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_runs_now_leaves_out_the_request_that_asks(admin: Person) -> None:
    assert await shown(admin, "/admin/live") == {"object": "live", "in_flight": {"requests": 0}, "workers": 1}
