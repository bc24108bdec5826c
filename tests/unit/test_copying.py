"""Copying databases: nothing is lost or changed on the way, nothing is written twice, nothing is overwritten."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import StorageUnavailable
from gateway.storage.copying import Copied, copy_database
from gateway.storage.copying.ends import in_batches
from gateway.storage.copying.tables import MESSAGES, TABLES, TURNS, USERS, Row, Table, canonical_json
from tests.postgresql import PostgreSQL, execute
from tests.unit.copied_rows import ROWS, add, fill, query, read, write


def _unwatched(doing: str, done: int, total: int) -> None:
    """Progress that nobody follows."""


async def _copy(source: str, target: str) -> Copied:
    return await copy_database(source, target, watch=_unwatched)


@pytest.fixture
def source(tmp_path: Path) -> str:
    return fill(tmp_path / "source.db")


@pytest.fixture(params=["sqlite", "postgresql"])
async def target(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'target.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.empty_database() as url:
        yield url


async def _ask(url: str, statement: str) -> list[Row]:
    if url.startswith("sqlite:"):
        return read(Path(url.removeprefix("sqlite:///")), statement)
    return await query(url, statement)


async def _tell(url: str, *statements: str) -> None:
    if url.startswith("sqlite:"):
        write(Path(url.removeprefix("sqlite:///")), *statements)
    else:
        execute(url, *statements)


# ── what is the same ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":2}', '{"b": 2, "a": 1}'),
        ("[1e2]", "[100.0]"),
        ("[1.2345678901234568e18]", "[1234567890123456800]"),
        ("[-0.0]", "[0]"),
        ('["\\u00e9"]', '["é"]'),
    ],
)
def test_json_of_one_value_has_one_canonical_form(one: str, other: str) -> None:
    assert canonical_json(one) == canonical_json(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1]", '["1"]'),
        ("[9007199254740993]", "[9007199254740992]"),
        ("[true]", "[1]"),
        ("[1,2]", "[2,1]"),
        ('{"a":null}', "{}"),
    ],
)
def test_json_of_different_values_has_different_canonical_forms(one: str, other: str) -> None:
    assert canonical_json(one) != canonical_json(other)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_every_column_is_copied_but_those_of_locks(table: Table, source: str, postgresql: PostgreSQL) -> None:
    in_sqlite = await _ask(source, f"SELECT name FROM pragma_table_info('{table.name}')")  # noqa: S608 - our names
    assert {name for (name,) in in_sqlite} == set(table.columns)
    with postgresql.migrated_database() as url:
        columns = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table.name}'"  # noqa: S608 - as above
        in_postgresql = await query(url, columns)
    assert {name for (name,) in in_postgresql} - {"lock_holder", "lock_until"} == set(table.columns)


async def test_batches_of_long_messages_have_fewer_rows() -> None:
    long = ("s", 1, "m", "t", "user", "x" * 8_000_000)
    fetched = iter([[long] * 2, [long] * 3, [long], []])

    async def fetch() -> Sequence[Row]:
        return next(fetched)

    assert [len(batch) async for batch in in_batches(MESSAGES, fetch)] == [5, 1]


# ── what is copied ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_lost_on_the_way_there_and_back(
    source: str, target: str, tmp_path: Path, postgresql: PostgreSQL
) -> None:
    with postgresql.empty_database() as between:
        for start, end in [(source, between), (between, target), (target, f"sqlite:///{tmp_path / 'back.db'}")]:
            assert (await _copy(start, end)).is_whole
    for table in TABLES:
        columns = ", ".join(name for name in table.columns if (table.name, name) != ("sessions", "metadata"))
        statement = f"SELECT {columns} FROM {table.name} ORDER BY 1, 2"  # noqa: S608 - our names
        before, after = read(tmp_path / "source.db", statement), read(tmp_path / "back.db", statement)
        assert len(before) == len(ROWS[table])
        assert [row for row in after if "data.copy" not in row] == before
    statement = "SELECT metadata FROM sessions ORDER BY id"
    before, after = read(tmp_path / "source.db", statement), read(tmp_path / "back.db", statement)
    assert [canonical_json(text) for (text,) in after] == [canonical_json(text) for (text,) in before]


async def test_times_are_exact_in_postgresql(source: str, postgresql: PostgreSQL) -> None:
    with postgresql.empty_database() as target:
        await _copy(source, target)
        times = await query(target, "SELECT (created_at AT TIME ZONE 'UTC')::text FROM api_keys ORDER BY id")
        last = await query(target, "SELECT (max(updated_at) AT TIME ZONE 'UTC')::text FROM sessions")
    assert times == [("1970-01-01 00:00:00",), ("2026-09-21 14:13:20.123457",)]
    assert last == [("9999-12-31 23:59:59.999999",)]


async def test_a_server_is_told_to_index_what_was_copied(source: str, target: str) -> None:
    await _copy(source, target)
    queued = await _ask(target, "SELECT session_id, user_id FROM search_queue ORDER BY user_id, session_id")
    assert sorted(queued) == [("B", "user_1"), ("a", "user_1"), ("ä", "user_2")]


async def test_the_copy_is_in_the_targets_audit_log_once(source: str, target: str) -> None:
    await _copy(source, target)
    await _copy(source, target)
    entries = await _ask(target, "SELECT details FROM audit_log WHERE action = 'data.copy'")
    assert entries == [
        ('{"rows":{"users":3,"api_keys":2,"sessions":3,"messages":3,"turns":2,"audit_log":1}}',),
    ]


async def test_the_source_stays_as_it_is(target: str, tmp_path: Path) -> None:
    """Even where a server that was killed has left a write-ahead log: what is only there is copied all the same."""
    fill(tmp_path / "source.db")
    left = [tmp_path / "left.db", tmp_path / "left.db-wal"]
    with closing(sqlite3.connect(tmp_path / "source.db", isolation_level=None)) as server:
        server.execute("PRAGMA wal_autocheckpoint = 0")
        server.execute("UPDATE users SET name = 'renamed' WHERE id = 'user_3'")
        for path in left:
            shutil.copy(tmp_path / path.name.replace("left", "source"), path)
    before = [path.read_bytes() for path in left]

    assert (await _copy(f"sqlite:///{left[0]}", target)).is_whole

    assert [path.read_bytes() for path in left] == before
    assert ("renamed",) in await _ask(target, "SELECT name FROM users")


# ── once more ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_run_leaves_a_file_as_it_is(source: str, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    await _copy(source, f"sqlite:///{target}")
    before = target.read_bytes()
    again = await _copy(source, f"sqlite:///{target}")
    assert again.is_whole
    assert [table.added for table in again.tables] == [0] * len(TABLES)
    assert target.read_bytes() == before


async def test_a_second_run_leaves_every_row_of_postgresql_as_it_is(source: str, postgresql: PostgreSQL) -> None:
    tables = [*[table.name for table in TABLES], "search_queue"]
    versions = " UNION ALL ".join(f"SELECT '{table}', ctid::text, xmin::text FROM {table}" for table in tables)  # noqa: S608 - our names
    with postgresql.empty_database() as target:
        await _copy(source, target)
        before = await query(target, versions)
        assert (await _copy(source, target)).is_whole
        assert await query(target, versions) == before
    assert len(before) == sum(map(len, ROWS.values())) + 1 + 3  # the audit entry of the copy, and the queue


async def test_only_what_is_missing_is_written(source: str, target: str) -> None:
    await _copy(source, target)
    await _tell(target, "DELETE FROM messages WHERE id = 'msg_2'", "DELETE FROM turns", "DELETE FROM search_queue")

    again = await _copy(source, target)

    assert again.is_whole
    assert {table.name: table.added for table in again.tables if table.added} == {"messages": 1, "turns": 2}
    assert await _ask(target, "SELECT session_id FROM search_queue") == [("B",)]


async def test_rows_that_only_the_target_has_are_nobodys_business(source: str, target: str) -> None:
    await _copy(source, target)
    await _tell(target, "INSERT INTO users (id, name) VALUES ('user_new', 'grace')")
    assert (await _copy(source, target)).is_whole
    assert ("grace",) in await _ask(target, "SELECT name FROM users")


# ── what contradicts ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_row_under_the_same_key_is_left_and_reported(source: str, target: str) -> None:
    await _copy(source, target)
    await _tell(
        target,
        "UPDATE messages SET tokens = 999 WHERE id = 'msg_1'",
        "DELETE FROM messages WHERE id = 'msg_2'",
        "DELETE FROM turns",
    )

    again = await _copy(source, target)

    assert not again.is_whole
    messages = next(table for table in again.tables if table.name == "messages")
    assert (messages.differing, messages.refused, messages.keys, messages.added) == (1, 0, [("B", 1)], 1)
    assert [table.name for table in again.tables if not table.is_whole] == ["messages"]
    assert await _ask(target, "SELECT tokens FROM messages WHERE id = 'msg_1'") == [(999,)]
    assert await _ask(target, "SELECT count(*) FROM turns") == [(2,)]


async def test_a_session_that_went_on_in_the_target_gets_no_messages(source: str, target: str, tmp_path: Path) -> None:
    await _copy(source, target)
    await _tell(target, "UPDATE sessions SET last_seq = 5 WHERE id = 'B'")
    add(tmp_path / "source.db", MESSAGES, [("B", 4, "msg_4", *ROWS[MESSAGES][0][3:])])

    again = await _copy(source, target)

    assert again.tables[-1].name == "sessions"
    assert again.tables[-1].keys == [("B",)]
    assert not again.is_whole
    assert await _ask(target, "SELECT id FROM messages WHERE seq = 4") == []


async def test_a_users_name_that_is_anothers_in_the_target(source: str, target: str) -> None:
    await _copy(source, target)
    await _tell(target, "DELETE FROM messages", "DELETE FROM sessions", "DELETE FROM api_keys", "DELETE FROM users")
    await _tell(target, "INSERT INTO users (id, name) VALUES ('user_other', 'ada')")

    again = await _copy(source, target)

    users = again.tables[-1]
    assert (users.name, users.added, users.differing, users.refused) == ("users", 2, 0, 1)
    assert users.keys == [("user_1",)]
    assert not again.is_whole
    assert await _ask(target, "SELECT id FROM users WHERE name = 'ada'") == [("user_other",)]


async def test_rows_that_come_in_meanwhile_are_counted(source: str, target: str, tmp_path: Path) -> None:
    def write_meanwhile(doing: str, done: int, _: int) -> None:
        if (doing, done) == ("copying messages", 0):
            add(tmp_path / "source.db", USERS, [("user_4", "late", None, None)])
            add(tmp_path / "source.db", TURNS, [("turn_3", *ROWS[TURNS][0][1:])])

    copied = await copy_database(source, target, watch=write_meanwhile)

    assert copied.is_whole
    assert copied.changes == {"users": 1, "turns": 1}
    assert await _ask(target, "SELECT count(*) FROM turns") == [(2,)]


async def test_rows_that_leave_postgresql_meanwhile_are_counted(
    source: str, tmp_path: Path, postgresql: PostgreSQL
) -> None:
    with postgresql.empty_database() as start:
        await _copy(source, start)

        def write_meanwhile(doing: str, done: int, _: int) -> None:
            if (doing, done) == ("copying messages", 0):
                execute(start, "DELETE FROM turns WHERE turn_id = 'turn_1'")

        copied = await copy_database(start, f"sqlite:///{tmp_path / 'target.db'}", watch=write_meanwhile)

    assert copied.is_whole
    assert copied.changes == {"turns": -1}
    assert read(tmp_path / "target.db", "SELECT count(*) FROM turns") == [(2,)]


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_is_not_copied_to_itself(source: str, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "source.db")
    with pytest.raises(StorageUnavailable, match="are the same database"):
        await _copy(source, f"sqlite:///{tmp_path / 'link.db'}")


async def test_a_postgresql_database_is_not_copied_to_itself(postgresql: PostgreSQL) -> None:
    with postgresql.migrated_database() as url:
        other_name = f"{url}{'&' if '?' in url else '?'}application_name=other"
        with pytest.raises(StorageUnavailable, match="is the source of this copy"):
            await _copy(url, other_name)


async def test_a_source_without_tables(target: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    write(empty, "CREATE TABLE other (id)")
    with pytest.raises(StorageUnavailable, match="has no tables of the gateway's"):
        await _copy(f"sqlite:///{empty}", target)


async def test_a_source_that_is_behind(source: str, target: str, tmp_path: Path) -> None:
    write(tmp_path / "source.db", "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(StorageUnavailable, match=r"is at revision 0001, behind .*Run `gateway db upgrade` on it"):
        await _copy(source, target)
