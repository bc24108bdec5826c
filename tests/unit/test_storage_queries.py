"""The SQL of the SQLite store: what a statement costs, and that each has its use. And how files of SQL are read."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gateway.domain import SessionChanges, User
from gateway.ports import Cleaning, Hold
from gateway.storage.postgres.queries import QUERIES as POSTGRES_QUERIES
from gateway.storage.queries import parse
from gateway.storage.sqlite import SqliteStore, turns
from gateway.storage.sqlite.lane import Lane
from gateway.storage.sqlite.queries import QUERIES
from tests.contract.store.calls import ANY_CALL
from tests.contract.store.values import ALICE, START, at, make_key, make_session, make_turn, opened, opening


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(f"sqlite:///{tmp_path}/gateway.db")
    await store.start()
    yield store
    await store.aclose()


def lanes(store: SqliteStore) -> tuple[Lane, list[Lane]]:
    """The writer, and all that read."""
    searcher, reporter = store._lanes._searcher, store._lanes._reporter
    assert searcher is not None
    assert reporter is not None
    return store._lanes.writer, [*store._lanes.readers, searcher, reporter]


async def plan(store: SqliteStore, name: str) -> str:
    sql = QUERIES[name]
    named = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    parameters = named or [1] * sql.count("?")

    def explain(connection: sqlite3.Connection) -> str:
        return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))

    return await lanes(store)[0].run(explain)


@pytest.mark.parametrize(
    ("name", "search"),
    [
        ("find_key", "SEARCH k USING INDEX sqlite_autoindex_api_keys_1 (id=?)"),
        ("glance_at_session", "SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (id=?)"),
        ("find_session", "SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (id=?)"),
        ("grow_sessions", "SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (id=?)"),
        ("last_seqs", "SEARCH s USING INDEX sqlite_autoindex_sessions_1 (id=?)"),
        ("add_ledger_entries", "SEARCH u USING COVERING INDEX sqlite_autoindex_users_1 (id=?)"),
        ("update_session", "SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (id=?)"),
        ("delete_session", "SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (id=?)"),
        ("newest_messages", "SEARCH messages USING INDEX sqlite_autoindex_messages_1 (session_id=? AND seq>?)"),
        ("list_messages", "SEARCH messages USING INDEX sqlite_autoindex_messages_1 (session_id=?)"),
        ("list_sessions", "SEARCH sessions USING INDEX sessions_by_user (user_id=?)"),
        ("newest_turns_of_user", "SEARCH turns USING INDEX turns_by_user (user_id=? AND created_at>?"),
        ("read_messages", "SEARCH messages USING INDEX sqlite_autoindex_messages_1 (session_id=? AND seq>?)"),
        ("scan_sessions", "SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (id>?)"),
        ("sum_turns", "SEARCH turns USING INDEX sqlite_autoindex_turns_1 (turn_id=?)"),
        ("sum_turns", "SEARCH messages USING INDEX sqlite_autoindex_messages_1 (session_id=?)"),
        ("list_search_queue_of_user", "SEARCH q USING INDEX search_queue_by_user (user_id=?)"),
        ("remove_texts_of_user", "SEARCH search_texts USING COVERING INDEX sqlite_autoindex_search_texts_1"),
        ("remove_sessions_of_user", "SEARCH sessions USING COVERING INDEX sessions_by_user (user_id=?)"),
        ("remove_old_turns", "SEARCH turns USING COVERING INDEX turns_by_time (created_at<?)"),
    ],
)
async def test_statements_go_by_an_index_and_sort_nothing(store: SqliteStore, name: str, search: str) -> None:
    steps = await plan(store, name)
    assert search in steps
    assert re.findall("SCAN (?!CONSTANT ROW|entry|turn|t$)", steps, re.MULTILINE) == []  # rows given are gone through
    assert "TEMP B-TREE" not in steps


@pytest.mark.parametrize(
    ("name", "searches"),
    [
        ("scan_sessions_of_user", ["SEARCH sessions USING INDEX sessions_by_user (user_id=?)"]),
        (
            "list_sessions_by_metadata",
            ["SEARCH sessions USING INDEX sessions_by_user (user_id=?)", "SCAN wanted VIRTUAL TABLE"],
        ),
        ("has_earlier_ticket", ["SEARCH turn_queue USING INDEX turn_queue_by_session (session_id=?)"]),
        (
            "usage",
            [
                "SEARCH turns USING INDEX turns_by_time (created_at>? AND created_at<?)",
                "SEARCH turns USING INDEX turns_by_user (user_id=? AND created_at>? AND created_at<?)",
            ],
        ),
        (
            "newest_turns",
            [
                "SEARCH turns USING INDEX turns_by_time (created_at>? AND created_at<?)",
                "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY",
            ],
        ),
        *[
            (
                name,
                [
                    "SEARCH turns USING INDEX turns_by_time (created_at>? AND created_at<?)",
                    "SEARCH turns USING INDEX turns_by_user (user_id=? AND created_at>? AND created_at<?)",
                ],
            )
            for name in ("slowest_turns", "activity", "count_errors")
        ],
        (
            "nth_latency",
            [
                "SEARCH turns USING INDEX sqlite_autoindex_turns_1 (turn_id=?)",
                "SEARCH messages USING INDEX sqlite_autoindex_messages_1 (session_id=?)",
            ],
        ),
        (
            "list_due_sessions",
            [
                "SEARCH sessions USING INDEX sessions_by_deleted_at (deleted_at<?)",
                "SEARCH sessions USING INDEX sessions_by_ttl_seconds (ttl_seconds>?)",
            ],
        ),
        (
            "search",
            [
                "SCAN search_index VIRTUAL TABLE INDEX 0:M2",
                "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH m USING INDEX sqlite_autoindex_messages_1 (session_id=? AND seq=?)",
            ],
        ),
    ],
)
async def test_what_must_sort_or_scan_does_so_with_little(store: SqliteStore, name: str, searches: list[str]) -> None:
    steps = await plan(store, name)
    assert [search for search in searches if search not in steps] == []
    assert "SCAN messages" not in steps
    assert "SCAN turns" not in steps


async def test_closing_a_turn_runs_as_many_statements_in_a_long_session_as_in_a_new_one(store: SqliteStore) -> None:
    session = make_session()
    await store.add_key(make_key())
    await store.create_session(session)
    writer, _ = lanes(store)
    seen: list[str] = []
    await writer.run(lambda connection: connection.set_trace_callback(seen.append))
    counts = []
    for _ in range(30):
        seen.clear()
        await store.close_turn(make_turn(session))
        counts.append(len(seen))
    # BEGIN, the ledger, the session, its last seq, the messages, the search queue, COMMIT
    assert counts == [7] * 30


async def test_a_turn_writes_one_page_of_each_table_and_index_that_has_to_know_of_it(
    store: SqliteStore, tmp_path: Path
) -> None:
    session = make_session()
    await store.add_key(make_key())
    await store.create_session(session)
    await store.close_turn(make_turn(session))
    log = tmp_path / "gateway.db-wal"
    before = log.stat().st_size
    await store.close_turn(make_turn(session))
    # turns, its primary key, by user, by time; messages, its primary key, their ids; sessions. It is queued already.
    assert log.stat().st_size - before == 8 * (4096 + 24)


async def test_closing_turns_keeps_no_copies_of_pages_to_undo_its_statements_by(store: SqliteStore) -> None:
    """More than 16 of one statement would go into a file, which stays open until the transaction ends."""
    users = [User(f"{place:0>900}", f"{place}") for place in range(32)]
    sessions = [make_session(f"{user.id[-128:]}", user, metadata={"note": "x" * 3000}) for user in users]
    for user, session in zip(users, sessions, strict=True):
        await store.add_user(user)
        await store.create_session(session)
        for _ in range(5):  # till each has a page of its own wherever it is looked up by user or session
            await store.close_turn(make_turn(session, *["user"] * 6))

    def close(connection: sqlite3.Connection) -> tuple[int, int]:
        before = len(list(Path("/dev/fd").iterdir()))
        turns.close_turns(connection, [make_turn(session, "user") for session in sessions])
        return before, len(list(Path("/dev/fd").iterdir()))

    before, after = await lanes(store)[0].run(close)
    assert after == before


async def test_turns_that_close_at_once_share_their_statements(store: SqliteStore) -> None:
    sessions = [make_session() for _ in range(63)]
    await store.add_key(make_key())
    for session in sessions:
        await store.create_session(session)
    writer, _ = lanes(store)
    seen: list[str] = []
    await writer.run(lambda connection: connection.set_trace_callback(seen.append))
    seen.clear()
    await asyncio.gather(*[store.close_turn(make_turn(session)) for session in sessions])
    # 63 are 32 + 16 + 8 + 4 + 2 + 1 rows in each of four statements, their messages 3 * 32 + 16 + 8 + 4 + 2.
    assert seen.count("BEGIN IMMEDIATE") == 1
    assert len(seen) == 2 + 4 * 6 + 7
    assert {len((await opened(store, opening(session))).messages) for session in sessions} == {2}


async def test_a_cached_session_is_opened_without_reading_messages(store: SqliteStore) -> None:
    session = make_session()
    await store.add_key(make_key())
    await store.create_session(session)
    await store.close_turn(make_turn(session))
    seen: list[str] = []
    for reader in lanes(store)[1]:
        await reader.run(lambda connection: connection.set_trace_callback(seen.append))
    store._lanes.glance(lambda connection: connection.set_trace_callback(seen.append))
    seen.clear()
    await store.open_turn(opening(session, known_seq=2, known_epoch=0, hold=Hold("hold_1")))
    assert len(seen) == 1
    assert "FROM sessions" in seen[0]
    await store.open_turn(opening(session, known_seq=2, known_epoch=0))
    assert [statement for statement in seen if "FROM messages" in statement] == []


async def test_every_statement_is_used(store: SqliteStore) -> None:
    """By calling each method once: a block that nobody asks for is one that nobody tests."""
    writer, readers = lanes(store)
    seen: list[str] = []
    for lane in (writer, *readers):
        await lane.run(lambda connection: connection.set_trace_callback(seen.append))
    store._lanes.glance(lambda connection: connection.set_trace_callback(seen.append))
    for call in ANY_CALL.values():
        await store.add_user(ALICE)  # one of them erases her
        await call(store)
    session = make_session(name="a title")
    await store.create_session(session)
    await store.close_turn(make_turn(session))
    await store.list_sessions(ALICE.id, limit=1, offset=0, metadata={"topic": "x"})
    await store.scan_sessions(user_id=ALICE.id, limit=1)
    await store.search(ALICE.id, "title", limit=1, offset=0)
    await store.update_session(ALICE.id, session.id, SessionChanges(frozenset({"name"})), START)
    await store.index_messages(limit=10)
    ticket = await store.queue_turn(ALICE.id, session.id, lease=30)
    await store.renew_holds([(session.id, Hold("hold_1", ticket))], lease=30)
    await store.open_turn(opening(session, hold=Hold("hold_1", ticket)))
    await store.close_turn(make_turn(session, hold=Hold("hold_1", ticket)))
    await store.open_turn(opening(session, known_seq=2, hold=Hold("hold_2")))
    await store.release_hold(session.id, Hold("hold_2"))
    await store.session_stats(ALICE.id, session.id)
    await store.list_messages(ALICE.id, session.id, limit=1, offset=0)
    await store.read_messages(ALICE.id, session.id, after=0, limit=1)
    await store.clean(Cleaning(at(10), inactive_before=at(5)))
    while cleaned := await store.clean(Cleaning(at(20), deleted_before=at(15), limit=1)):
        if cleaned.is_done:
            break
    deleted = make_session()
    await store.create_session(deleted)
    await store.delete_session(ALICE.id, deleted.id, START)
    await store.purge_session(ALICE.id, deleted.id)
    await store.erase_user(ALICE.id)
    ran = "\n".join(seen)
    unused = [name for name, sql in QUERIES.items() if re.split(r":| *\(\?", sql)[0] not in ran]
    assert unused == []


def test_a_statements_name_is_used_once() -> None:
    assert parse("-- a preface\n-- name: one\n-- What.\nSELECT 1;\n\n-- name: two\nSELECT 2;\n") == {
        "one": "-- What.\nSELECT 1;",
        "two": "SELECT 2;",
    }
    with pytest.raises(ValueError, match="used twice: one"):
        parse("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n")
    with pytest.raises(ValueError, match="used twice: one"):
        parse("-- fragment: one\na\n-- name: one\nSELECT {one};\n")


def test_a_fragment_stands_wherever_a_statement_names_it_and_is_none_itself() -> None:
    text = """
-- name: newest
-- All of {columns}.
SELECT {columns} FROM t, '{}', '{host}';

-- fragment: columns
-- What it is: in this order.
a,
    b

-- name: both
SELECT {columns} FROM (SELECT {columns} FROM t);
"""
    assert parse(text) == {
        "newest": "-- All of a,\n    b.\nSELECT a,\n    b FROM t, '{}', '{host}';",
        "both": "SELECT a,\n    b FROM (SELECT a,\n    b FROM t);",
    }


@pytest.mark.parametrize("queries", [QUERIES, POSTGRES_QUERIES], ids=["sqlite", "postgres"])
def test_no_fragment_is_missing(queries: Mapping[str, str]) -> None:
    assert [name for name, sql in queries.items() if re.search(r"\{\w+\}", sql)] == []
