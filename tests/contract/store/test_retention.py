"""What every store promises of retention: exactly what is due goes, in batches, and nobody sees half of it."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import Session, SessionChanges
from gateway.ports import Cleaned, Cleaning, ClosedTurn, Hold, Store
from tests.contract.store.values import (
    ALICE,
    BOB,
    add_texts,
    at,
    current,
    hits,
    ledger_of,
    make_appending,
    make_entry,
    make_session,
    make_text,
    messages,
    opened,
    opening,
)

NOTHING = Cleaned()


async def clean(store: Store, now: float = 1_000_000, **bounds: Any) -> Cleaned:
    """One batch."""
    cleaned = await store.clean(Cleaning(at(now), **bounds))
    assert cleaned is not None
    return cleaned


async def clean_all(store: Store, now: float = 1_000_000, **bounds: Any) -> Cleaned:
    """Batch after batch, until one finds nothing; their sum."""
    total = Cleaned()
    for _ in range(100):
        cleaned = await clean(store, now, **bounds)
        if cleaned.is_done:
            return total
        total = Cleaned(
            total.purged + cleaned.purged,
            total.deleted + cleaned.deleted,
            total.messages + cleaned.messages,
            total.ledger + cleaned.ledger,
        )
    pytest.fail("retention never says that it is done")


async def ids(store: Store, user_id: str = ALICE.id) -> set[str]:
    found = await store.list_sessions(user_id, limit=100, offset=0, include_archived=True)
    return {session.id for session in found.items}


async def test_without_bounds_everything_is_kept(store: Store, session: Session) -> None:
    await store.close_turn(ClosedTurn(make_entry(session), (make_text("x"),)))
    await store.delete_session(ALICE.id, session.id, at(1))
    assert await clean(store, 10**9) == NOTHING
    assert await store.purge_session(ALICE.id, session.id) is True
    assert len(await ledger_of(store)) == 1


async def test_sessions_deleted_before_the_bound_are_purged(store: Store) -> None:
    for number in (1, 2, 3):
        session = make_session(f"sess_{number}")
        await store.create_session(session)
        await add_texts(store, session, "word")
        await store.delete_session(ALICE.id, session.id, at(number))
    assert await clean_all(store, deleted_before=at(2)) == Cleaned(purged=1, messages=1)
    assert [await store.purge_session(ALICE.id, f"sess_{number}") for number in (1, 2, 3)] == [False, True, True]


async def test_sessions_that_are_not_deleted_are_not_purged_by_that_bound(store: Store, session: Session) -> None:
    assert await clean(store, deleted_before=at(10**6)) == NOTHING
    assert await current(store, session) == session


async def test_sessions_inactive_since_before_the_bound_are_deleted_to_be_purged_later(store: Store) -> None:
    for name, created, spoken in (("old", 0, 1), ("at_bound", 0, 5), ("busy", 0, 9), ("fresh", 9, None)):
        session = make_session(name, created_at=at(created))
        await store.create_session(session)
        if spoken is not None:
            await store.add_messages(make_appending(session, make_text("hello"), created_at=at(spoken)))
    await store.create_session(make_session("silent", created_at=at(1)))
    await store.create_session(make_session("archived", created_at=at(1), archived_at=at(2)))
    assert await clean_all(store, 100, inactive_before=at(5)) == Cleaned(deleted=3)
    assert await ids(store) == {"at_bound", "busy", "fresh"}
    assert (await clean(store, 200, deleted_before=at(100))).purged == 0
    assert (await clean_all(store, 200, deleted_before=at(100.000001))).purged == 3


async def test_what_is_deleted_already_is_not_deleted_again(store: Store, session: Session) -> None:
    await store.delete_session(ALICE.id, session.id, at(1))
    assert await clean(store, 100, inactive_before=at(50)) == NOTHING
    assert (await clean(store, 100, deleted_before=at(2))).purged == 1


async def test_a_session_is_purged_once_it_has_outlived_its_own_time(store: Store) -> None:
    spoken = make_session("spoken", ttl_seconds=60)
    for session in (spoken, make_session("silent", ttl_seconds=60), make_session("endless")):
        await store.create_session(session)
    await store.add_messages(make_appending(spoken, make_text("word"), created_at=at(10)))
    assert await clean(store, 60) == NOTHING
    assert await clean_all(store, 60.000001) == Cleaned(purged=1)
    assert await ids(store) == {"spoken", "endless"}
    assert await clean(store, 70) == NOTHING
    assert await clean_all(store, 70.000001) == Cleaned(purged=1, messages=1)
    assert await ids(store) == {"endless"}
    assert await hits(store, "word") == []


async def test_a_time_to_live_is_what_the_last_update_says(store: Store, session: Session) -> None:
    for ttl in (10, None):
        changes = SessionChanges(frozenset({"ttl_seconds"}), ttl_seconds=ttl)
        await store.update_session(ALICE.id, session.id, changes, at(500))
    assert await clean(store, 1000) == NOTHING
    changes = SessionChanges(frozenset({"ttl_seconds"}), ttl_seconds=0)
    await store.update_session(ALICE.id, session.id, changes, at(900))
    assert (await clean(store, 1000)).purged == 1


async def test_a_time_to_live_beyond_all_calendars_keeps_the_session_and_stops_nobody(store: Store) -> None:
    await store.create_session(make_session("forever", ttl_seconds=2**53))
    await store.create_session(make_session("short", ttl_seconds=1))
    assert (await clean_all(store)).purged == 1
    assert await ids(store) == {"forever"}


async def test_deleted_and_archived_sessions_outlive_their_time_too(store: Store) -> None:
    archived = make_session("archived", ttl_seconds=1, archived_at=at(0))
    deleted = make_session("deleted", ttl_seconds=1)
    for session in (archived, deleted):
        await store.create_session(session)
    await store.delete_session(ALICE.id, deleted.id, at(0))
    assert (await clean_all(store)).purged == 2


async def test_ledger_rows_older_than_the_bound_go_whosever_they_are(store: Store, session: Session) -> None:
    kept = []
    for user in (ALICE, BOB):
        for seconds in (1, 2, 3):
            entry = make_entry(user=user, created_at=at(seconds))
            await store.close_turn(ClosedTurn(entry))
            kept += [entry] if seconds > 1 else []
    assert await clean_all(store, ledger_before=at(2)) == Cleaned(ledger=2)
    left = [entry for user in (ALICE, BOB) for entry in (await ledger_of(store, user.id))[::-1]]
    assert left == kept
    assert await current(store, session) == session


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_a_batch_keeps_to_its_limit_and_repeating_it_reaches_the_end(store: Store, limit: int) -> None:
    for number in range(5):
        due = make_session(f"due_{number}", (ALICE, BOB)[number % 2])
        await store.create_session(due)
        await add_texts(store, due, *["word"] * number)
        await store.delete_session(due.user_id, due.id, at(1))
        await store.create_session(make_session(f"idle_{number}"))
        await store.close_turn(ClosedTurn(make_entry()))
    total = Cleaned()
    bounds: dict[str, Any] = {"deleted_before": at(2), "inactive_before": at(2), "ledger_before": at(2), "limit": limit}
    while not (cleaned := await clean(store, **bounds)).is_done:
        rows = (cleaned.purged, cleaned.deleted, cleaned.messages, cleaned.ledger)
        assert max(rows) <= limit
        total = Cleaned(*[have + more for have, more in zip(_rows(total), rows, strict=True)])
    assert total == Cleaned(purged=5, deleted=5, messages=10, ledger=5)


def _rows(cleaned: Cleaned) -> tuple[int, int, int, int]:
    return cleaned.purged, cleaned.deleted, cleaned.messages, cleaned.ledger


async def test_nobody_sees_a_session_that_has_lost_some_of_its_messages(store: Store) -> None:
    session = make_session("sess_1", ttl_seconds=1, name="title")
    await store.create_session(session)
    await add_texts(store, session, *["word"] * 5)
    batches = 0
    while not (await clean(store, limit=2)).is_done:
        batches += 1
        found = await store.list_messages(ALICE.id, session.id, limit=10, offset=0)
        assert found is None or len(found.items) == 5
        assert len(await hits(store, "word")) in (0, 5)
    assert batches >= 3
    assert await store.purge_session(ALICE.id, session.id) is False


async def test_what_is_not_due_is_not_touched(store: Store, session: Session) -> None:
    of_bob = make_session("sess_bob", BOB, created_at=at(500))
    await store.create_session(of_bob)
    turn = ClosedTurn(make_entry(of_bob, BOB, created_at=at(500)), (make_text("kept"),))
    await store.close_turn(turn)
    before = await current(store, of_bob), await messages(store, of_bob)
    await store.delete_session(ALICE.id, session.id, at(1))
    cleaned = await clean_all(store, 1000, deleted_before=at(400), inactive_before=at(400), ledger_before=at(400))
    assert cleaned == Cleaned(purged=1)
    assert (await current(store, of_bob), await messages(store, of_bob)) == before
    assert await ledger_of(store, BOB.id) == [turn.entry]
    assert await hits(store, "kept", BOB) == [("sess_bob", 1)]


async def test_a_session_that_retention_purged_may_be_made_anew_with_the_same_messages(store: Store) -> None:
    session = make_session("sess_1", ttl_seconds=1)
    message = make_text("word")
    for _ in range(2):
        await store.create_session(session)
        assert await store.add_messages(make_appending(session, message)) == 1
        assert await hits(store, "word") == [("sess_1", 1)]
        await clean_all(store)
        assert await hits(store, "word") == []
    await store.create_session(replace(session, ttl_seconds=None))
    assert await messages(store, session) == []


@pytest.mark.parametrize(
    ("ttl_seconds", "bounds", "expected"),
    [(60, {}, Cleaned(purged=1)), (None, {"inactive_before": at(999_999)}, Cleaned(deleted=1))],
    ids=["outlived", "inactive"],
)
async def test_a_session_that_has_a_turn_stays_until_it_is_closed(
    store: Store, ttl_seconds: int | None, bounds: dict[str, Any], expected: Cleaned
) -> None:
    session = make_session(ttl_seconds=ttl_seconds)
    await store.create_session(session)
    hold = Hold("hold_1")
    await opened(store, opening(session, hold=hold))
    assert await clean(store, **bounds) == NOTHING
    assert await current(store, session) == session
    await store.release_hold(session.id, hold)
    assert await clean(store, **bounds) == expected
    assert await store.get_session(ALICE.id, session.id) is None
