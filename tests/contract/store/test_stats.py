"""What every store promises of a session's stats. The figures are computed by hand."""

from typing import Any

import pytest

from gateway.domain import Session, SessionStats, Status, Usage
from gateway.ports import ClosedTurn, Store
from tests.contract.store.values import ALICE, BOB, at, make_appending, make_entry, make_message, make_session


async def spend(store: Store, session: Session, **fields: Any) -> None:
    """A turn of one message of five tokens."""
    await store.close_turn(ClosedTurn(make_entry(session, **fields), (make_message(),)))


async def test_stats_are_what_the_turns_come_to(store: Store, session: Session) -> None:
    await spend(store, session, usage=Usage(100, 10), cost=0.25, latency_ms=300.0, created_at=at(1))
    await spend(store, session, usage=Usage(200, 20, 50, 5), cost=0.5, latency_ms=100.5, created_at=at(2))
    await spend(store, session, usage=Usage(7, 0), latency_ms=199.5, status=Status.INCOMPLETE, created_at=at(3))
    await store.add_messages(make_appending(session, make_message(tokens=1000), created_at=at(4)))
    assert await store.session_stats(ALICE.id, session.id) == SessionStats(
        message_count=4,
        total_tokens=1015,
        turns=3,
        prompt_tokens=307,
        completion_tokens=30,
        cost=0.75,
        avg_latency_ms=200.0,
        p95_latency_ms=300.0,
        started_at=session.created_at,
        last_message_at=at(4),
    )


async def test_a_turn_counts_once_however_many_messages_it_left(store: Store, session: Session) -> None:
    said = tuple([make_message(role) for role in ("user", "tool", "assistant")])
    await store.close_turn(ClosedTurn(make_entry(session, usage=Usage(10, 1), latency_ms=20.0), said))
    stats = await store.session_stats(ALICE.id, session.id)
    assert stats is not None
    assert (stats.message_count, stats.turns, stats.prompt_tokens, stats.avg_latency_ms) == (3, 1, 10, 20.0)


async def test_a_session_without_turns_has_no_latency_and_no_cost(store: Store, session: Session) -> None:
    expected = SessionStats(0, 0, 0, 0, 0, None, None, None, session.created_at, None)
    assert await store.session_stats(ALICE.id, session.id) == expected


async def test_turns_whose_price_is_not_known_cost_nothing_known(store: Store, session: Session) -> None:
    await spend(store, session, cost=None)
    stats = await store.session_stats(ALICE.id, session.id)
    assert stats is not None
    assert stats.cost is None
    await spend(store, session, cost=0.0)
    stats = await store.session_stats(ALICE.id, session.id)
    assert stats is not None
    assert stats.cost == 0.0


async def test_latencies_are_of_turns_that_the_provider_answered(store: Store, session: Session) -> None:
    await spend(store, session, latency_ms=100.0)
    await spend(store, session, latency_ms=9000.0, status=Status.FAILED, error_status=504, usage=Usage(3, 0))
    await spend(store, session, latency_ms=None)
    stats = await store.session_stats(ALICE.id, session.id)
    assert stats is not None
    assert (stats.turns, stats.prompt_tokens) == (3, 17)
    assert (stats.avg_latency_ms, stats.p95_latency_ms) == (100.0, 100.0)


@pytest.mark.parametrize(("turns", "expected"), [(1, 1), (2, 2), (19, 19), (20, 19), (21, 20), (40, 38), (41, 39)])
async def test_95_percent_of_the_turns_did_not_exceed_p95(
    store: Store, session: Session, turns: int, expected: int
) -> None:
    """The nearest rank: ⌈0.95 n⌉ of the latencies 1 … n, which are stored from the longest to the shortest."""
    for latency in range(turns, 0, -1):
        await spend(store, session, latency_ms=float(latency))
    stats = await store.session_stats(ALICE.id, session.id)
    assert stats is not None
    assert stats.p95_latency_ms == float(expected)


async def test_a_sessions_stats_are_of_its_own_turns(store: Store, session: Session) -> None:
    other = make_session("sess_2")
    await store.create_session(other)
    await spend(store, other, cost=1.0, latency_ms=1.0)
    await store.close_turn(ClosedTurn(make_entry(cost=1.0, latency_ms=1.0)))
    stats = await store.session_stats(ALICE.id, session.id)
    assert stats is not None
    assert (stats.turns, stats.cost, stats.message_count) == (0, None, 0)


async def test_whoever_takes_the_id_of_a_purged_session_learns_nothing_of_its_turns(
    store: Store, session: Session
) -> None:
    await spend(store, session, cost=1.0, latency_ms=1.0)
    await store.purge_session(ALICE.id, session.id)
    assert await store.session_stats(ALICE.id, session.id) is None
    await store.create_session(make_session(session.id, BOB))
    expected = SessionStats(0, 0, 0, 0, 0, None, None, None, session.created_at, None)
    assert await store.session_stats(BOB.id, session.id) == expected
