"""What the SQLite store promises beyond the contract: its connections, its files, and how it fails."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import GroupBy, Session, Status
from gateway.errors import StorageUnavailable
from gateway.ports import ClosedTurn, Hold, Locked, TurnOpening
from gateway.storage.errors import ConstraintViolated
from gateway.storage.sqlite import SqliteStore, indexing
from gateway.storage.sqlite.lane import Lane
from tests.contract.store.values import (
    ALICE,
    BOB,
    at,
    ledger_of,
    make_entry,
    make_key,
    make_message,
    make_session,
    make_turn,
    opening,
    seqs,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "gateway.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """Gives up on a locked database soon, so that the tests need not wait."""
    store = SqliteStore(f"sqlite:///{path}", timeout=0.05)
    await store.start()
    yield store
    await store.aclose()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make_shared(path: Path) -> None:
    """An empty file and its directory that a group may read."""
    path.touch()
    path.chmod(0o640)
    path.parent.chmod(0o750)


def corrupt(path: Path) -> None:
    """Write garbage over all but the first page."""
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (len(content) - 4096))


def lanes(store: SqliteStore) -> tuple[Lane, list[Lane]]:
    return store._lanes.writer, store._lanes.readers


async def pragma(lane: Lane, name: str) -> Any:
    return await lane.run(lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0])


# ── connections and files ────────────────────────────────────────────────────────────────────────────────────────


async def test_every_held_connection_is_set_up_as_promised(store: SqliteStore) -> None:
    writer, readers = lanes(store)
    assert len(readers) == 2
    full = 2
    for lane in (writer, *readers):
        assert await pragma(lane, "journal_mode") == "wal"
        assert await pragma(lane, "synchronous") == full
        assert await pragma(lane, "foreign_keys") == 1
        assert await pragma(lane, "busy_timeout") == 50
    assert [await pragma(lane, "query_only") for lane in (writer, *readers)] == [0, 1, 1]


async def test_what_a_writer_removes_is_overwritten(store: SqliteStore) -> None:
    assert await pragma(lanes(store)[0], "secure_delete") == 1


async def test_only_the_servers_writer_checkpoints(store: SqliteStore, path: Path) -> None:
    writer, readers = lanes(store)
    assert [await pragma(lane, "wal_autocheckpoint") for lane in (writer, *readers)] == [8000, 0, 0]
    guest = SqliteStore(f"sqlite:///{path}", checkpoints=False)
    await guest.start()
    guest_writer, guest_readers = lanes(guest)
    assert [await pragma(lane, "wal_autocheckpoint") for lane in (guest_writer, *guest_readers)] == [0, 0, 0]
    await guest.aclose()


async def test_a_new_directory_and_database_are_their_owners_alone(store: SqliteStore, path: Path) -> None:
    await store.add_key(make_key())  # so that there is a WAL
    assert mode(path.parent) == 0o700
    assert {mode(file) for file in path.parent.iterdir()} == {0o600}


async def test_modes_that_the_operator_chose_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    make_shared(path)
    store = SqliteStore(f"sqlite:///{path}")
    await store.start()
    await store.aclose()
    assert (mode(tmp_path), mode(path)) == (0o750, 0o640)


async def test_a_url_with_three_slashes_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("sqlite:///./data/gateway.db")
    await store.start()
    await store.aclose()
    assert (tmp_path / "data" / "gateway.db").is_file()


@pytest.mark.parametrize(
    "url", ["sqlite:///:memory:", "sqlite:///", "sqlite://", "sqlite:///x.db?mode=ro", "postgresql://localhost/x"]
)
def test_a_url_that_is_no_plain_files_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be sqlite:///PATH"):
        SqliteStore(url)


async def test_closing_the_only_store_leaves_one_file_that_can_be_copied(store: SqliteStore, path: Path) -> None:
    await store.add_key(make_key())
    await store.aclose()
    assert {file.name for file in path.parent.iterdir()} == {"gateway.db", "gateway.db-locks"}


async def test_bodies_are_kept_as_text_that_people_and_like_can_read(store: SqliteStore) -> None:
    session = make_session()
    await store.add_key(make_key())
    await store.create_session(session)
    await store.close_turn(make_turn(session, "user"))
    query = "SELECT typeof(body), body FROM messages WHERE body LIKE '%content%'"
    rows = await lanes(store)[0].run(lambda connection: connection.execute(query).fetchall())
    assert rows == [("text", '{"role":"user","content":"hi"}')]


# ── beside another process ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_command_writes_and_reads_while_the_server_runs(store: SqliteStore, path: Path) -> None:
    await store.add_key(make_key("key_1", ALICE))
    command = SqliteStore(f"sqlite:///{path}", checkpoints=False)
    await command.start()
    created = await command.add_key(make_key("key_2", BOB))
    assert await store.find_key("key_2") == created
    await store.revoke_key("key_1", at(1))
    assert await command.find_key("key_1") == make_key("key_1", ALICE, revoked_at=at(1))
    await command.aclose()
    assert [key.id for key in await store.list_keys()] == ["key_1", "key_2"]


async def test_while_another_process_holds_the_lock_reads_go_on_and_writes_are_refused(
    store: SqliteStore, path: Path
) -> None:
    session = make_session()
    await store.add_key(make_key())
    await store.create_session(session)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert await store.get_session(ALICE.id, session.id) == session
        assert await seqs(store, opening(session)) == []
        with pytest.raises(StorageUnavailable):
            await store.close_turn(make_turn(session))
        fresh = make_session()
        with pytest.raises(StorageUnavailable):
            await store.open_turn(opening(fresh, create=fresh))
        other.execute("ROLLBACK")
    assert await store.get_session(ALICE.id, fresh.id) is None
    assert await store.close_turn(make_turn(session)) == 1


# ── when the database does not answer ────────────────────────────────────────────────────────────────────────────

BOUNDED: dict[str, Callable[[SqliteStore], Coroutine[Any, Any, Any]]] = {
    "open_turn": lambda store: store.open_turn(TurnOpening(ALICE.id, "sess_1")),
    "find_key": lambda store: store.find_key("key_1"),
    "get_session": lambda store: store.get_session(ALICE.id, "sess_1"),
    "ping": lambda store: store.ping(),
}


@pytest.mark.parametrize("method", BOUNDED)
async def test_a_disk_that_hangs_is_given_up_after_the_timeout(
    store: SqliteStore, method: str, hang: Callable[[Lane], Coroutine[Any, Any, None]]
) -> None:
    for reader in lanes(store)[1]:
        await hang(reader)
    with pytest.raises(StorageUnavailable):
        await BOUNDED[method](store)


@pytest.fixture
async def hang() -> AsyncIterator[Callable[[Lane], Coroutine[Any, Any, None]]]:
    """Makes a lane's thread hang until the test is over."""
    over, tasks = threading.Event(), set[asyncio.Task[bool]]()

    async def start(lane: Lane) -> None:
        began, loop = asyncio.Event(), asyncio.get_running_loop()

        def work(_connection: sqlite3.Connection) -> bool:
            loop.call_soon_threadsafe(began.set)
            return over.wait()

        tasks.add(asyncio.create_task(lane.run(work)))
        await began.wait()

    yield start
    over.set()
    await asyncio.gather(*tasks)


async def test_creating_a_session_by_its_first_turn_is_bounded_too(
    store: SqliteStore, hang: Callable[[Lane], Coroutine[Any, Any, None]]
) -> None:
    await store.add_key(make_key())
    await hang(lanes(store)[0])
    session = make_session()
    with pytest.raises(StorageUnavailable):
        await store.open_turn(opening(session, create=session))


@pytest.mark.parametrize("method", ["open_turn", "find_key", "get_session"])
async def test_pages_of_garbage_are_an_outage(store: SqliteStore, path: Path, method: str) -> None:
    await store.add_key(make_key())
    await store.create_session(make_session("sess_1"))
    await store.aclose()
    await store.start()
    corrupt(path)
    with pytest.raises(StorageUnavailable) as caught:
        await BOUNDED[method](store)
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)


async def test_a_file_that_is_no_database_is_not_started_on(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(b"not a database" * 1000)
    store = SqliteStore(f"sqlite:///{path}")
    with pytest.raises(StorageUnavailable, match="file is not a database"):
        await store.start()
    assert path.read_bytes() == b"not a database" * 1000


async def test_a_store_that_was_not_started_is_unavailable(path: Path) -> None:
    store = SqliteStore(f"sqlite:///{path}")
    with pytest.raises(StorageUnavailable):
        await store.ping()
    with pytest.raises(StorageUnavailable):
        await store.add_key(make_key())
    await store.aclose()


async def test_no_search_and_no_urgent_sum_waits_for_a_report(store: SqliteStore) -> None:
    end = threading.Event()
    report = asyncio.create_task(store._lanes.report(lambda _: end.wait(60)))
    try:
        async with asyncio.timeout(30):
            await store.search(ALICE.id, "word", limit=1, offset=0)
            await store.usage(GroupBy.KEY, since=at(0), until=at(1), user_id=ALICE.id, limit=1, is_urgent=True)
        assert not report.done()
    finally:
        end.set()
        await report


async def test_long_messages_are_indexed_a_few_at_a_time(path: Path) -> None:
    """So that nobody waits long for the writer; but one at least, however long it is."""
    store = SqliteStore(f"sqlite:///{path}", timeout=60)  # searching texts of this size takes its time
    await store.start()
    session = make_session()
    await store.add_key(make_key())
    await store.create_session(session)
    body = b'{"role":"user","content":"' + b"word " * 120_000 + b'"}'  # 600 kB
    await store.close_turn(ClosedTurn(make_entry(session), tuple(make_message(body=body) for _ in range(5))))
    found = await store._lanes.search(partial(indexing.read_lacking, user_id=None, limit=1000))
    assert [(len(lacking.bodies), lacking.is_all) for lacking in found] == [(1, False)]
    while await store.index_messages(limit=1):
        pass
    assert len((await store.search(session.user_id, "word", limit=10, offset=0)).items) == 5
    await store.aclose()


async def test_stats_count_the_turns_that_left_messages(store: SqliteStore) -> None:
    session = make_session()
    await store.add_key(make_key())
    await store.create_session(session)
    await store.close_turn(ClosedTurn(make_entry(session, status=Status.FAILED)))
    await store.close_turn(make_turn(session))
    stats = await store.session_stats(ALICE.id, session.id)
    assert stats is not None
    assert stats.turns == 1


# ── turns that close together ────────────────────────────────────────────────────────────────────────────────────


async def close_at_once(store: SqliteStore, *turns: ClosedTurn) -> list[int | BaseException | None]:
    """Close turns in one batch, after one that keeps the writer's thread busy while they come in."""
    other = make_session()
    await store.create_session(other)
    first = asyncio.create_task(store.close_turn(make_turn(other)))
    closing = [asyncio.create_task(store.close_turn(turn)) for turn in turns]
    await first
    return await asyncio.gather(*closing, return_exceptions=True)


@pytest.fixture
async def session(store: SqliteStore) -> Session:
    session = make_session()
    await store.add_key(make_key())
    await store.create_session(session)
    return session


async def test_turns_of_one_session_that_close_at_once_follow_each_other(store: SqliteStore, session: Session) -> None:
    turns = [make_turn(session, *["user"] * count) for count in (1, 2, 1)]
    seen: list[str] = []
    await lanes(store)[0].run(lambda connection: connection.set_trace_callback(seen.append))
    seen.clear()
    assert await close_at_once(store, *turns) == [1, 2, 4]
    assert await seqs(store, opening(session, limit=9)) == [1, 2, 3, 4]
    assert seen.count("ROLLBACK") == 0  # which would have each be written by itself


async def test_a_turn_that_cannot_be_stored_takes_no_other_with_it(store: SqliteStore, session: Session) -> None:
    others = [make_session() for _ in range(3)]
    for other in others:
        await store.create_session(other)
    turns = [make_turn(other) for other in others]
    twice = replace(turns[0], entry=replace(turns[0].entry, session_id=session.id))  # a turn's id is used once
    answers = await close_at_once(store, turns[0], twice, turns[1], turns[2])
    assert [isinstance(answer, ConstraintViolated) for answer in answers] == [False, True, False, False]
    assert await seqs(store, opening(session, limit=9)) == []


async def test_each_of_the_turns_that_close_at_once_gets_its_own_answer(store: SqliteStore, session: Session) -> None:
    alone = make_turn(session)
    alone = ClosedTurn(replace(alone.entry, session_id=None), ())
    unknown, silent = make_turn(make_session()), make_turn(session, status=Status.FAILED)
    nothing = replace(silent, messages=())
    assert await close_at_once(store, alone, unknown, nothing) == [0, None, 0]
    ledger = await ledger_of(store, session.user_id)
    assert {alone.entry.turn_id, unknown.entry.turn_id, nothing.entry.turn_id} <= {row.turn_id for row in ledger}


async def test_a_cached_session_that_others_wait_for_is_theirs_first(store: SqliteStore, session: Session) -> None:
    await store.close_turn(make_turn(session))
    assert await store.queue_turn(session.user_id, session.id, lease=30) is not None
    cached = opening(session, known_seq=2, known_epoch=0, hold=Hold("hold_1"))
    assert isinstance(await store.open_turn(cached), Locked)
