"""What every store promises of the ledger's turns, one by one and over time. Figures add up exactly in binary."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from gateway.domain import LedgerEntry, Session, Status, Usage, User
from gateway.ledger import (
    MAX_ERRORS,
    NO_ACTIVITY,
    Activity,
    ActivityPoint,
    ActivitySums,
    ErrorCount,
    Percentiles,
    Step,
    TurnFilter,
    TurnOrder,
)
from gateway.ports import ClosedTurn, Page, Store
from gateway.storage.memory import InMemoryStore
from tests.contract.store.values import ALICE, BOB, make_entry, make_session, make_turn

SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


async def spend(store: Store, user: User = ALICE, *, session: Session | None = None, **fields: Any) -> LedgerEntry:
    """A turn of seven tokens in and three out, on 2026-03-01 at noon unless told otherwise."""
    entry = make_entry(session, user, **fields)
    await store.close_turn(ClosedTurn(entry))
    return entry


def chosen(**fields: Any) -> TurnFilter:
    return TurnFilter(**{"since": SINCE, "until": UNTIL, **fields})


async def turns(
    store: Store, order: TurnOrder = TurnOrder.NEWEST, *, limit: int = 100, offset: int = 0, **fields: Any
) -> list[LedgerEntry]:
    found = await store.list_turns(chosen(**fields), order=order, limit=limit, offset=offset)
    return [turn.entry for turn in found.items]


async def activity(store: Store, step: Step = Step.HOUR, **fields: Any) -> Activity:
    return await store.activity(chosen(**fields), step=step)


def percentiles(*values: float) -> Percentiles:
    return Percentiles(*values)


# ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_turn_is_told_as_it_was_stored_with_its_users_name(store: Store, session: Session) -> None:
    entry = await spend(
        store,
        session=session,
        usage=Usage(100, 10, 40, 4, estimated=True),
        status=Status.INCOMPLETE,
        stream=True,
        cost=0.25,
        finish_reason="stop",
        error_status=502,
        error_code="upstream_error",
        latency_ms=12.5,
        ttft_ms=2.5,
        overhead_ms=0.5,
        history_messages=3,
        history_tokens=30,
        history_trimmed=1,
    )
    found = await store.list_turns(chosen(), order=TurnOrder.NEWEST, limit=1, offset=0)
    [turn] = found.items
    assert (turn.entry, turn.user_name, found.has_more) == (entry, "alice", False)


async def test_the_newest_come_first_and_those_of_one_moment_by_their_ids(store: Store) -> None:
    for turn_id, seconds in (("turn_1", 5), ("turn_3", 1), ("turn_2", 1), ("turn_4", 0)):
        await spend(store, turn_id=turn_id, created_at=SINCE + timedelta(seconds=seconds))
    for user_id in (None, ALICE.id):
        assert [turn.turn_id for turn in await turns(store, user_id=user_id)] == [
            "turn_1",
            "turn_3",
            "turn_2",
            "turn_4",
        ]


async def test_the_slowest_come_first_and_those_without_a_latency_last(store: Store) -> None:
    for turn_id, latency in (("turn_1", 5.0), ("turn_3", 250.0), ("turn_4", None), ("turn_2", 250.0)):
        await spend(store, turn_id=turn_id, latency_ms=latency)
    for user_id in (None, ALICE.id):
        found = await turns(store, TurnOrder.SLOWEST, user_id=user_id)
        assert [turn.turn_id for turn in found] == ["turn_3", "turn_2", "turn_1", "turn_4"]


@pytest.mark.parametrize("user_id", [None, ALICE.id])
@pytest.mark.parametrize("order", list(TurnOrder))
async def test_turns_come_in_pages(store: Store, order: TurnOrder, user_id: str | None) -> None:
    entries = [await spend(store, latency_ms=float(n), created_at=SINCE + timedelta(hours=n)) for n in range(5)]
    pages: list[Page[Any]] = [
        await store.list_turns(chosen(user_id=user_id), order=order, limit=2, offset=offset) for offset in (0, 2, 4, 6)
    ]
    assert [turn.entry for page in pages for turn in page.items] == entries[::-1]
    assert [page.has_more for page in pages] == [True, True, False, False]


@pytest.mark.parametrize("user_id", [None, ALICE.id])
@pytest.mark.parametrize("order", list(TurnOrder))
async def test_a_range_of_turns_has_its_beginning_and_not_its_end(
    store: Store, order: TurnOrder, user_id: str | None
) -> None:
    times = [SINCE - MICROSECOND, SINCE, UNTIL - MICROSECOND, UNTIL]
    entries = [await spend(store, created_at=each, latency_ms=float(n)) for n, each in enumerate(times)]
    assert await turns(store, order, user_id=user_id) == [entries[2], entries[1]]
    assert (await activity(store, user_id=user_id)).totals.turns == 2


FILTERS: Sequence[dict[str, Any]] = [
    {"user_id": BOB.id},
    {"key_id": "key_9"},
    {"session_id": "sess_9"},
    {"model": "slow"},
    {"status": Status.FAILED},
    {"error": "rate_limited"},
    {"error": "429"},
]


async def spend_otherwise(store: Store) -> LedgerEntry:
    """A turn that all of FILTERS choose."""
    session = make_session("sess_9", BOB)
    await store.create_session(session)
    failure: dict[str, Any] = {"status": Status.FAILED, "error_status": 429, "error_code": "rate_limited"}
    return await spend(store, BOB, session=session, key_id="key_9", model="slow", **failure)


@pytest.mark.parametrize("asked", FILTERS)
@pytest.mark.parametrize("user_id", [None, BOB.id])
async def test_only_turns_of_what_is_asked_for(store: Store, asked: dict[str, Any], user_id: str | None) -> None:
    await spend(store)
    wanted = await spend_otherwise(store)
    for order in TurnOrder:
        assert await turns(store, order, **{"user_id": user_id, **asked}) == [wanted]
    told = await activity(store, **{"user_id": user_id, **asked})
    assert (told.totals.turns, [point.sums.turns for point in told.points]) == (1, [1])
    assert told.errors == [ErrorCount("rate_limited", 429, 1)]


@pytest.mark.parametrize("asked", FILTERS)
async def test_all_that_is_asked_for_has_to_apply(store: Store, asked: dict[str, Any]) -> None:
    await spend_otherwise(store)
    others: dict[str, Any] = {
        "user_id": ALICE.id,
        "key_id": "key_1",
        "session_id": "sess_1",
        "model": "fast",
        "error": "400",
    }
    for name, other in {**others, "status": Status.COMPLETE}.items():
        if name not in asked:
            both = {**asked, name: other}
            assert await turns(store, **both) == []
            assert await activity(store, **both) == NO_ACTIVITY


async def test_of_one_user_nothing_of_others_is_told(store: Store, session: Session) -> None:
    """Not even where both have the same key's, model's or session's id."""
    mine = await spend(store, session=session, error_status=500, latency_ms=1.0)
    await spend(store, BOB, session=make_session(session.id, BOB), error_status=400, latency_ms=2.0)
    same: dict[str, Any] = {"key_id": "key_1", "model": "fast", "session_id": session.id, "user_id": ALICE.id}
    for order in TurnOrder:
        assert await turns(store, order, **same) == [mine]
    told = await activity(store, **same)
    assert (told.totals.turns, [point.sums.turns for point in told.points]) == (1, [1])
    assert told.errors == [ErrorCount(None, 500, 1)]


async def test_what_an_erased_user_spent_stays_without_a_name(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    await store.erase_user(ALICE.id)
    for order in TurnOrder:
        [turn] = (await store.list_turns(chosen(user_id=ALICE.id), order=order, limit=9, offset=0)).items
        assert (turn.user_name, turn.entry.session_id, turn.entry.request_id) == (None, None, "")


@pytest.mark.parametrize("name", ["user_id", "key_id", "session_id", "model", "error"])
@pytest.mark.parametrize("text", ["", "x\0", "\ud800"])
async def test_what_nothing_stored_can_have_finds_nothing(store: Store, name: str, text: str) -> None:
    await spend(store)
    asked: dict[str, Any] = {name: text}
    assert await turns(store, **asked) == []
    assert await activity(store, **asked) == NO_ACTIVITY


# ── over time ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_point_is_what_its_turns_come_to(store: Store) -> None:
    await spend(store, usage=Usage(100, 10), cost=0.25, latency_ms=20.0, ttft_ms=2.0, overhead_ms=0.5)
    await spend(store, usage=Usage(200, 20), cost=0.5, latency_ms=10.0, overhead_ms=0.25)
    await spend(store, usage=Usage(3, 0), status=Status.FAILED, error_status=502, latency_ms=900.0, overhead_ms=0.75)
    await spend(store, usage=Usage(4, 1), status=Status.INCOMPLETE)
    sums = ActivitySums(
        turns=4,
        failed_turns=1,
        incomplete_turns=1,
        prompt_tokens=307,
        completion_tokens=31,
        cost=0.75,
        latency=percentiles(10.0, 20.0, 20.0),
        ttft=percentiles(2.0, 2.0, 2.0),
        overhead=percentiles(0.5, 0.75, 0.75),
    )
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert await activity(store) == Activity([ActivityPoint(noon, sums)], sums, [ErrorCount(None, 502, 1)])


async def test_where_nothing_happened_there_are_no_points(store: Store) -> None:
    await spend(store, created_at=UNTIL)
    assert await activity(store) == NO_ACTIVITY


@pytest.mark.parametrize(
    ("step", "starts"),
    [
        (Step.MINUTE, ["05:59", "06:00", "06:14"]),
        (Step.FIVE_MINUTES, ["05:55", "06:00", "06:10"]),
        (Step.QUARTER, ["05:45", "06:00"]),
        (Step.HOUR, ["05:00", "06:00"]),
        (Step.SIX_HOURS, ["00:00", "06:00"]),
        (Step.DAY, ["00:00"]),
    ],
)
async def test_points_begin_at_whole_steps_in_utc(store: Store, step: Step, starts: Sequence[str]) -> None:
    six = SINCE + timedelta(hours=6)
    for created_at in (six + timedelta(minutes=15) - MICROSECOND, six, six - MICROSECOND):
        await spend(store, created_at=created_at)
    found = (await activity(store, step)).points
    assert [f"{point.start:%H:%M}" for point in found] == starts
    assert {point.start.date() for point in found} == {SINCE.date()}
    assert sum(point.sums.turns for point in found) == 3


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 100, 101])
async def test_percentiles_are_by_nearest_rank(store: Store, count: int) -> None:
    latencies = [float(n) for n in range(1, count + 1)]
    Random(count).shuffle(latencies)  # noqa: S311 - no secret: the same order in each run
    for latency in latencies:
        await spend(store, latency_ms=latency)
    ranks = [-(-count * percent // 100) for percent in (50, 95, 99)]
    told = await activity(store)
    assert told.totals.latency == told.points[0].sums.latency == percentiles(*ranks)


async def test_percentiles_of_all_are_not_those_of_the_points(store: Store) -> None:
    for hour, latency in ((1, 1.0), (1, 2.0), (1, 3.0), (2, 8.0), (3, 4.0), (3, 4.0)):
        await spend(store, created_at=SINCE + timedelta(hours=hour), latency_ms=latency)
    told = await activity(store)
    assert [point.sums.latency.p50 for point in told.points] == [2.0, 8.0, 4.0]
    assert told.totals.latency == percentiles(3.0, 8.0, 8.0)


async def test_the_most_frequent_errors_come_first(store: Store) -> None:
    for status, code, count in ((429, "b", 1), (429, "B", 1), (500, None, 2), (400, "a", 3), (429, None, 1)):
        for _ in range(count):
            await spend(store, status=Status.FAILED, error_status=status, error_code=code)
    await spend(store)
    assert (await activity(store)).errors == [
        ErrorCount("a", 400, 3),
        ErrorCount(None, 500, 2),
        ErrorCount(None, 429, 1),
        ErrorCount("B", 429, 1),
        ErrorCount("b", 429, 1),
    ]


async def test_so_many_errors_and_no_more(store: Store) -> None:
    for number in range(MAX_ERRORS + 1):
        await spend(store, error_status=500, error_code=f"error_{number:03}")
    errors = (await activity(store)).errors
    assert [error.code for error in errors] == [f"error_{number:03}" for number in range(MAX_ERRORS)]


@pytest.mark.parametrize("seed", range(3))
async def test_it_is_what_looking_at_every_turn_would_tell(store: Store, seed: int) -> None:
    """The store in memory does look at every turn."""
    random, reference = Random(seed), InMemoryStore()  # noqa: S311 - no secret: the same turns in each run
    await reference.add_user(ALICE)
    await reference.add_user(BOB)
    for _ in range(120):
        failure = random.random() < 0.2
        entry = make_entry(
            None,
            random.choice([ALICE, BOB]),
            created_at=SINCE + random.randrange(86_400) * timedelta(seconds=1),
            status=Status.FAILED if failure else random.choice([Status.COMPLETE, Status.INCOMPLETE]),
            error_status=random.choice([429, 500]) if failure else None,
            error_code=random.choice([None, "a", "b"]) if failure else None,
            model=random.choice(["fast", "slow"]),
            key_id=random.choice(["key_1", "key_2"]),
            cost=random.choice([None, random.randrange(64) / 64]),
            latency_ms=random.choice([None, random.randrange(64) / 4]),
            ttft_ms=random.choice([None, random.randrange(64) / 4]),
            overhead_ms=random.choice([None, random.randrange(64) / 4]),
        )
        await store.close_turn(ClosedTurn(entry))
        await reference.close_turn(ClosedTurn(entry))
    for user_id in (None, ALICE.id):
        for model in (None, "slow"):
            asked = chosen(user_id=user_id, model=model, key_id=random.choice([None, "key_1"]))
            for step in Step:
                assert await store.activity(asked, step=step) == await reference.activity(asked, step=step)
            for order in TurnOrder:
                found = await store.list_turns(asked, order=order, limit=50, offset=5)
                assert found == await reference.list_turns(asked, order=order, limit=50, offset=5)
