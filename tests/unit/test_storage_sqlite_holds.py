"""Holds of the SQLite store: locks of the operating system, shared by every process that serves from one file."""

import asyncio
import os
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.domain import Session
from gateway.errors import InvalidRequest, StorageUnavailable
from gateway.ports import Cleaned, Cleaning, Hold, Locked, OpenedTurn, TurnOpening
from gateway.storage.sqlite import SqliteStore
from gateway.storage.sqlite.holds import Holds, Taking
from tests.contract.store.values import ALICE, BOB, START, at, make_key, make_session, make_turn, opening

FIRST, SECOND = Hold("hold_1"), Hold("hold_2")

HOLDER = """
import asyncio, sys
from gateway.ports import Hold, TurnOpening
from gateway.storage.sqlite import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    await store.start()
    ticket = await store.queue_turn("user_alice", "sess_1", lease=-1)
    opened = await store.open_turn(TurnOpening("user_alice", "sess_1", hold=Hold("hold_of_another", ticket)))
    print(type(opened).__name__, flush=True)
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
async def started(path: Path, *, checkpoints: bool = True) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(f"sqlite:///{path}", timeout=60, checkpoints=checkpoints)
    await store.start()
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with started(path) as store:
        await store.add_key(make_key())
        await store.add_key(make_key("key_2", BOB))
        yield store


@pytest.fixture
async def session(store: SqliteStore) -> Session:
    session = make_session("sess_1")
    await store.create_session(session)
    return session


async def checkpoints(store: SqliteStore) -> int:
    """After how many pages its writer copies the WAL back."""
    return await store._lanes.writer.run(
        lambda connection: int(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0])
    )


# ── the locks ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_two_files_opened_by_one_process_one_gets_the_lock(holds: Holds, path: Path) -> None:
    other = Holds(path)
    assert holds.take("hold_1", "user", "sess") is Taking.TAKEN
    assert holds.take("hold_1", "user", "sess") is Taking.KEPT
    assert holds.take("hold_2", "user", "sess") is Taking.REFUSED
    assert other.take("hold_3", "user", "sess") is Taking.REFUSED
    other.let_go("hold_3")
    assert other.take("hold_3", "user", "sess") is Taking.REFUSED
    holds.let_go("hold_1")
    assert other.take("hold_3", "user", "sess") is Taking.TAKEN
    other.close()
    assert holds.take("hold_2", "user", "sess") is Taking.TAKEN


def test_nobody_is_in_the_way_of_a_user_by_asking_for_their_session(holds: Holds) -> None:
    assert holds.take("hold_1", "user_1", "sess") is Taking.TAKEN
    assert holds.take("hold_2", "user_2", "sess") is Taking.TAKEN
    assert holds.take("hold_3", "user_1", "sess\ud800") is Taking.TAKEN


def test_a_closed_store_lets_go_of_everything_and_then_of_nothing(path: Path, holds: Holds) -> None:
    other = Holds(path)
    other.take("hold_1", "user", "sess")
    assert other.become_keeper()
    assert not holds.become_keeper()
    other.close()
    other.let_go("hold_1")
    assert holds.become_keeper()
    assert holds.take("hold_2", "user", "sess") is Taking.TAKEN


def test_the_file_of_locks_is_its_owners_and_stays_small(holds: Holds, path: Path) -> None:
    holds.take("hold_1", "user", "sess")
    file = path.with_name("gateway.db-locks").stat()
    assert (file.st_mode & 0o777, file.st_size) == (0o600, 8)


async def test_a_file_of_locks_that_cannot_be_opened_is_an_outage_that_names_it(path: Path) -> None:
    path.with_name("gateway.db-locks").mkdir()
    with pytest.raises(StorageUnavailable, match=r"file of locks beside the database .*gateway\.db cannot be opened"):
        await SqliteStore(f"sqlite:///{path}").start()


# ── what is left when an opening or a closing comes to nothing ───────────────────────────────────────────────────


@pytest.mark.parametrize("user_id", [ALICE.id, BOB.id])
async def test_what_cannot_be_held_leaves_no_lock(store: SqliteStore, path: Path, user_id: str) -> None:
    await store.create_session(make_session("sess_old", archived_at=START))
    for session_id in ("sess_unknown", "sess_old"):
        await store.open_turn(TurnOpening(user_id, session_id, hold=FIRST))
    others = Holds(path)
    assert others.take("hold_2", user_id, "sess_unknown") is Taking.TAKEN
    assert others.take("hold_3", user_id, "sess_old") is Taking.TAKEN
    others.close()


async def test_who_finds_others_waiting_leaves_no_lock(store: SqliteStore, session: Session, path: Path) -> None:
    await store.queue_turn(ALICE.id, session.id, lease=30)
    assert await store.open_turn(opening(session, hold=FIRST)) == Locked()
    others = Holds(path)
    assert others.take("hold_2", ALICE.id, session.id) is Taking.TAKEN
    others.close()


async def test_an_opening_and_a_closing_that_fail_let_go(store: SqliteStore, session: Session) -> None:
    with pytest.raises(InvalidRequest):
        await store.open_turn(TurnOpening(ALICE.id, "\0", create=make_session("\0"), hold=FIRST))
    turn = make_turn(session, hold=FIRST)
    await store.close_turn(turn)
    assert isinstance(await store.open_turn(opening(session, hold=FIRST)), OpenedTurn)
    with pytest.raises(Exception, match="UNIQUE"):
        await store.close_turn(turn)
    assert isinstance(await store.open_turn(opening(session, hold=SECOND)), OpenedTurn)


async def test_a_session_that_was_deleted_or_archived_while_held_says_so_to_others(
    store: SqliteStore, session: Session, path: Path
) -> None:
    others = Holds(path)
    assert others.take("hold_of_another", ALICE.id, session.id) is Taking.TAKEN
    assert await store.open_turn(opening(session, hold=FIRST)) == Locked()
    await store.delete_session(ALICE.id, session.id, at(1))
    assert await store.open_turn(opening(session, hold=FIRST)) is None
    others.close()


async def test_a_ticket_that_has_lapsed_stands_in_nobodys_way_and_is_removed(
    store: SqliteStore, session: Session
) -> None:
    await store.queue_turn(ALICE.id, session.id, lease=-1)
    assert isinstance(await store.open_turn(opening(session, hold=FIRST)), OpenedTurn)
    ticket = await store.queue_turn(ALICE.id, session.id, lease=30)
    await store.renew_holds([(session.id, Hold("hold_2", ticket))], lease=30)
    count = "SELECT count(*) FROM turn_queue"
    assert await store._lanes.writer.run(lambda connection: connection.execute(count).fetchone()[0]) == 1


async def test_a_ticket_that_is_renewed_lasts(store: SqliteStore, session: Session) -> None:
    ticket = await store.queue_turn(ALICE.id, session.id, lease=30)
    await store.renew_holds([(session.id, Hold("hold_2", ticket))], lease=-1)
    assert isinstance(await store.open_turn(opening(session, hold=FIRST)), OpenedTurn)


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_hold_ends_with_its_process(store: SqliteStore, session: Session, path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, f"sqlite:///{path}", stdout=PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"OpenedTurn\n"
    assert await store.open_turn(opening(session, hold=FIRST)) == Locked()
    process.kill()
    await process.communicate()
    assert isinstance(await store.open_turn(opening(session, hold=FIRST)), OpenedTurn)


async def test_a_link_to_the_file_leads_to_the_same_locks(store: SqliteStore, session: Session, path: Path) -> None:
    """SQLite follows it too: there is one write-ahead log, and there must be one keeper of it."""
    link = path.parent / "elsewhere" / "linked.db"
    link.parent.mkdir()
    link.symlink_to(path)
    async with started(link) as linked:
        assert [await checkpoints(each) for each in (store, linked)] == [8000, 0]
        assert isinstance(await store.open_turn(opening(session, hold=FIRST)), OpenedTurn)
        assert await linked.open_turn(opening(session, hold=SECOND)) == Locked()
    assert [entry.name for entry in link.parent.iterdir()] == ["linked.db"]


async def test_one_of_the_stores_on_a_file_is_its_keeper_and_another_takes_over(path: Path) -> None:
    async with started(path, checkpoints=False) as command, started(path) as first:
        async with started(path) as second:
            assert [await checkpoints(store) for store in (command, first, second)] == [0, 8000, 0]
            await second.renew_holds([], lease=30)
            assert await checkpoints(second) == 0
            assert await second.clean(Cleaning(START)) is None
            await first.aclose()
            await command.renew_holds([], lease=30)
            await second.renew_holds([], lease=30)
            assert [await checkpoints(store) for store in (command, second)] == [0, 8000]
            assert await second.clean(Cleaning(START)) == Cleaned()
        assert await command.clean(Cleaning(START)) is None


# ── who writes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_process_writes_at_a_time(holds: Holds, path: Path) -> None:
    other = Holds(path)
    with other.turn_to_write(0), pytest.raises(sqlite3.OperationalError), holds.turn_to_write(0):
        pass
    with holds.turn_to_write(0), pytest.raises(sqlite3.OperationalError), other.turn_to_write(0):
        pass
    other.close()


async def test_a_turn_that_is_not_to_be_had_is_an_outage_and_nothing_is_written(path: Path) -> None:
    other = Holds(path)
    store = SqliteStore(f"sqlite:///{path}", timeout=0.5)
    await store.start()
    with other.turn_to_write(60), pytest.raises(StorageUnavailable):
        await store.add_user(ALICE)
    assert list((await store.list_users(limit=1, offset=0)).items) == []
    await store.add_user(ALICE)
    await store.aclose()
    other.close()
