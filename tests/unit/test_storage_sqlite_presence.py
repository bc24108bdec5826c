"""Being alone with a database, and what need not be read then: the sessions that this process has stored itself."""

import asyncio
import os
import sqlite3
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import Session, SessionChanges, Status
from gateway.errors import StorageUnavailable
from gateway.ports import Cleaning, Hold, Locked, OpenedTurn
from gateway.storage.errors import ConstraintViolated
from gateway.storage.rules import grown
from gateway.storage.sqlite import SqliteStore
from gateway.storage.sqlite.holds import Holds
from gateway.storage.sqlite.known_sessions import KnownSessions
from tests.contract.store.values import (
    ALICE,
    START,
    at,
    current,
    make_appending,
    make_key,
    make_message,
    make_session,
    make_turn,
    opening,
)

HOLD = Hold("hold_1")

GUEST = """
import asyncio, sys
from gateway.storage.sqlite import SqliteStore

async def main():
    await SqliteStore(sys.argv[1], checkpoints=False).start()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def holds(path: Path) -> Iterator[Holds]:
    holds = Holds(path)
    yield holds
    holds.close()


@asynccontextmanager
async def started(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(f"sqlite:///{path}", timeout=60)
    await store.start()
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with started(path) as store:
        await store.add_key(make_key())
        yield store


@pytest.fixture
async def session(store: SqliteStore) -> Session:
    """One that the store knows: its last turn was opened and closed here."""
    session = make_session("sess_1")
    await store.create_session(session)
    assert isinstance(await store.open_turn(opening(session, hold=HOLD)), OpenedTurn)
    await store.close_turn(make_turn(session, hold=HOLD))
    return await current(store, session)


def change_behind(path: Path, statement: str) -> None:
    """As SQLite's shell would, which announces itself to nobody."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


async def opens_as(store: SqliteStore, session: Session) -> object:
    asked = opening(session, known_seq=session.last_seq, known_epoch=session.epoch, hold=HOLD)
    opened = await store.open_turn(asked)
    await store.release_hold(session.id, HOLD)
    return opened


async def recalled(store: SqliteStore, session: Session) -> Session | None:
    """What opening a turn says of the session to who has all its messages; None if it cannot be opened."""
    opened = await opens_as(store, session)
    return opened.session if isinstance(opened, OpenedTurn) else None


# ── who is there ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_came_first_is_alone_until_another_one_comes(holds: Holds, path: Path) -> None:
    assert holds.presence.is_alone
    other = Holds(path)
    assert (holds.presence.is_alone, other.presence.is_alone) == (False, False)
    other.close()


def test_who_is_left_is_alone_again_only_after_looking(holds: Holds, path: Path) -> None:
    other = Holds(path)
    holds.presence.look()
    other.presence.look()
    assert (holds.presence.is_alone, other.presence.is_alone) == (False, False)
    other.close()
    assert not holds.presence.is_alone
    holds.presence.look()
    assert holds.presence.is_alone


def test_a_visit_between_two_looks_is_noticed(holds: Holds, path: Path) -> None:
    Holds(path).close()
    assert not holds.presence.is_alone


async def test_another_process_is_seen_and_missed_however_it_ends(holds: Holds, path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GUEST, f"sqlite:///{path}", stdout=PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    assert not holds.presence.is_alone
    holds.presence.look()
    assert not holds.presence.is_alone
    process.kill()
    await process.communicate()
    holds.presence.look()
    assert holds.presence.is_alone


# ── what need not be read ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_whose_turns_were_this_process_own_is_not_read(
    store: SqliteStore, session: Session, path: Path
) -> None:
    change_behind(path, "UPDATE sessions SET model = 'other'")
    assert await recalled(store, session) == session


async def test_what_nobody_announced_is_seen_when_holds_are_renewed(
    store: SqliteStore, session: Session, path: Path
) -> None:
    change_behind(path, "UPDATE sessions SET model = 'other'")
    await store.renew_holds([], lease=30)
    assert await recalled(store, session) == replace(session, model="other")


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.FAILED])
async def test_turn_after_turn_what_is_known_is_what_is_stored(
    store: SqliteStore, session: Session, status: Status
) -> None:
    for seconds, roles in enumerate([("user", "assistant"), ("tool", "assistant"), ("user",), ()], start=1):
        known = await current(store, session)
        asked = opening(session, known_seq=known.last_seq, known_epoch=known.epoch, hold=HOLD)
        assert await store.open_turn(asked) == OpenedTurn(known, (), known.last_seq)
        turn = make_turn(session, status=status, hold=HOLD, instructions=(b'{"role":"system"}',) * seconds)
        messages = tuple(make_message(role) for role in roles)
        await store.close_turn(replace(turn, messages=messages, entry=replace(turn.entry, created_at=at(seconds))))
    assert await recalled(store, await current(store, session)) == await current(store, session)
    change = "UPDATE sessions SET model = 'other'"
    assert (await store._lanes.writer.run(lambda connection: connection.execute(change).rowcount)) == 1
    assert (await recalled(store, await current(store, session))) != await current(store, session)


Change = Callable[[SqliteStore, Session], Awaitable[object]]

CHANGES: dict[str, Change] = {
    "update": lambda store, session: store.update_session(
        ALICE.id, session.id, SessionChanges(frozenset({"model"}), model="other"), at(9)
    ),
    "archive": lambda store, session: store.update_session(
        ALICE.id, session.id, SessionChanges(frozenset({"archived_at"}), archived_at=at(9)), at(9)
    ),
    "delete": lambda store, session: store.delete_session(ALICE.id, session.id, at(9)),
    "purge": lambda store, session: store.purge_session(ALICE.id, session.id),
    "append": lambda store, session: store.add_messages(make_appending(session, make_message())),
    "erase": lambda store, _: store.erase_user(ALICE.id),
    "clean": lambda store, _: store.clean(Cleaning(at(99), inactive_before=at(98))),
    "queue": lambda store, session: store.queue_turn(ALICE.id, session.id, lease=30),
    "close without a hold": lambda store, session: store.close_turn(make_turn(session)),
}


@pytest.mark.parametrize("change", CHANGES.keys())
async def test_what_this_process_changes_is_seen(store: SqliteStore, session: Session, path: Path, change: str) -> None:
    await CHANGES[change](store, session)
    opened = await opens_as(store, session)
    assert opened != OpenedTurn(session, (), session.last_seq)
    async with started(path) as fresh:  # which knows nothing
        assert opened == await opens_as(fresh, session)


@pytest.mark.parametrize("change", sorted(CHANGES.keys() - {"clean"}))  # which the first store alone may do
async def test_what_another_store_changes_is_seen_though_it_has_left(
    store: SqliteStore, session: Session, path: Path, change: str
) -> None:
    async with started(path) as other:
        await CHANGES[change](other, session)
        opened = await opens_as(store, session)
    assert await opens_as(store, session) == opened != OpenedTurn(session, (), session.last_seq)
    await store.renew_holds([], lease=30)
    assert await opens_as(store, session) == opened


async def test_who_is_left_alone_need_not_read_again(store: SqliteStore, session: Session, path: Path) -> None:
    async with started(path) as other:
        await other.close_turn(make_turn(session))
    await store.renew_holds([], lease=30)
    stored = await current(store, session)
    assert await recalled(store, stored) == stored
    change_behind(path, "UPDATE sessions SET model = 'other'")
    assert await recalled(store, stored) == stored


async def test_a_turn_that_could_not_be_stored_leaves_nothing_known(
    store: SqliteStore, session: Session, path: Path
) -> None:
    turn = make_turn(session, hold=HOLD)
    await store.close_turn(turn)
    with pytest.raises(ConstraintViolated):
        await store.close_turn(turn)
    change_behind(path, "UPDATE sessions SET model = 'other'")
    stored = await current(store, session)
    assert await recalled(store, stored) == stored


async def test_a_write_that_was_cancelled_too_late_is_seen(store: SqliteStore, session: Session) -> None:
    has_begun, may_end = threading.Event(), threading.Event()
    closing = asyncio.create_task(store.close_turn(make_turn(session, hold=HOLD)))

    def hold_up(connection: sqlite3.Connection) -> None:
        del connection
        has_begun.set()
        may_end.wait()

    others = asyncio.create_task(store._lanes.write(hold_up))  # in the same batch, which does it first
    await asyncio.to_thread(has_begun.wait)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert await recalled(store, session) == session
    may_end.set()
    await others
    await store.add_user(ALICE)  # the writer has done all that it was given before
    assert await recalled(store, session) == await current(store, session) != session


async def test_who_waits_goes_before_who_comes_later(store: SqliteStore, session: Session) -> None:
    first = Hold("hold_2", await store.queue_turn(ALICE.id, session.id, lease=30))
    await store.queue_turn(ALICE.id, session.id, lease=30)
    opened = await store.open_turn(opening(session, hold=first))
    assert isinstance(opened, OpenedTurn)
    await store.close_turn(make_turn(session, hold=first))
    stored = await current(store, session)
    assert await store.open_turn(opening(stored, known_seq=stored.last_seq, known_epoch=0, hold=HOLD)) == Locked()


async def test_a_session_of_somebody_else_is_not_recalled(store: SqliteStore, session: Session) -> None:
    assert await recalled(store, replace(session, user_id="user_bob")) is None


async def test_a_turn_that_waits_is_let_by(store: SqliteStore, session: Session) -> None:
    ticket = await store.queue_turn(ALICE.id, session.id, lease=30)
    assert await store.open_turn(opening(session, hold=HOLD)) == Locked()
    assert isinstance(await store.open_turn(opening(session, hold=Hold("hold_2", ticket))), OpenedTurn)


async def test_a_closed_store_recalls_nothing_nor_does_one_that_starts(
    store: SqliteStore, session: Session, path: Path
) -> None:
    await store.aclose()
    with pytest.raises(StorageUnavailable):
        await recalled(store, session)
    change_behind(path, "UPDATE sessions SET model = 'other'")
    await store.start()
    assert await recalled(store, session) == replace(session, model="other")


# ── what is kept of it ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_read_before_a_change_is_not_put() -> None:
    known, session = KnownSessions(), make_session("sess_1")
    changes = known.changes
    known.forget("user_bob", "sess_2")
    known.put(session, changes=changes)
    assert known.get((ALICE.id, "sess_1")) is None
    known.put(session, changes=known.changes)
    assert known.get((ALICE.id, "sess_1")) is session


def test_the_least_recently_used_go_first_and_bytes_are_bounded() -> None:
    known = KnownSessions(max_bytes=10_000)
    sessions = [make_session(f"sess_{number}") for number in range(5)]
    for session in sessions:
        known.put(session, changes=known.changes)
    known.grow(make_turn(sessions[0]), 1)
    known.put(make_session("sess_long", instructions=(b"x" * 4_000,)), changes=known.changes)
    ids = [f"sess_{number}" for number in range(5)] + ["sess_long"]
    kept = [session_id for session_id in ids if known.get((ALICE.id, session_id)) is not None]
    assert kept == ["sess_0", "sess_4", "sess_long"]
    long: list[dict[str, Any]] = [{"metadata": {"a": "x" * 400}}, {"name": "x" * 2_500}, {"model": "x" * 2_500}]
    for number, texts in enumerate(long):
        known.put(make_session(f"sess_longest_{number}", **texts), changes=known.changes)
        assert known.get((ALICE.id, f"sess_longest_{number}")) is None


def test_a_turn_of_another_session_of_that_id_drops_it() -> None:
    known, session = KnownSessions(), make_session("sess_1", created_at=START)
    known.put(session, changes=known.changes)
    known.grow(make_turn(session), 7)
    assert known.get((ALICE.id, "sess_1")) is None


def test_a_session_that_grows_keeps_all_the_rest() -> None:
    session = make_session(
        "sess_1",
        name="n",
        model="m",
        metadata={"a": 1},
        instructions=(b"{}",),
        message_count=7,
        failed_count=2,
        total_tokens=70,
        last_seq=9,
        exchange_seq=8,
        epoch=3,
        archived_at=at(1),
        deleted_at=at(2),
        ttl_seconds=60,
    )
    assert all(getattr(session, field.name) is not None for field in fields(session) if field.name != "last_message_at")
    after = grown(session, make_appending(session, make_message("user"), make_message("assistant"), created_at=at(9)))
    assert after == replace(
        session,
        message_count=9,
        total_tokens=80,
        last_seq=11,
        exchange_seq=10,
        last_message_at=at(9),
        updated_at=at(9),
    )
