"""Migrations: from nothing, again, from two sides at once, and not at all."""

import asyncio
import logging
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from gateway.domain import Session
from gateway.errors import StorageUnavailable
from gateway.storage.errors import SchemaTooNew
from gateway.storage.revisions import ddl, known_revisions
from gateway.storage.schema import upgrade
from gateway.storage.sqlite import SqliteStore
from gateway.storage.sqlite.rows import to_time
from tests.unit.older_gateway import check_older_writes, older_schema, older_writes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_the_numbers_of_the_files_are_the_ids_of_the_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", "gateway.storage:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert [script.revision for script in scripts.walk_revisions()][::-1] == known_revisions()


def test_an_empty_database_gets_every_table(path: Path) -> None:
    upgrade(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert names - {name for name in names if name.startswith(("search_index", "sqlite_"))} == {
            "users",
            "api_keys",
            "sessions",
            "messages",
            "turns",
            "turn_queue",
            "search_queue",
            "search_texts",
            "audit_log",
            "alembic_version",
        }
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(known_revisions()[-1],)]


_FIRST_SCHEMA = """
    INSERT INTO users VALUES ('user_alice', 'alice');
    INSERT INTO sessions VALUES
        ('sess_1', 'user_alice', 'Trip', NULL, 20, '[]', '{"a":"b"}', 1, 2, 1, 0, 5, 1, 1, 0, 2, NULL, 1),
        ('sess_2', 'user_alice', NULL, 'fast', 8, '[]', '{}', 1, 3, 0, 0, 0, 0, 0, 0, NULL, NULL, 0);
    INSERT INTO messages VALUES ('sess_1', 1, 'msg_1', 'turn_1', 'user', '{"role":"user","content":"Lisbon"}', 5,
        'o200k_base', 'complete', 2, NULL, NULL, NULL, NULL);
"""


async def test_what_an_older_gateway_stored_comes_through_and_is_found(path: Path) -> None:
    older = ddl("sqlite").split("-- Running upgrade 0001 -> 0002")[0]
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(older + _FIRST_SCHEMA)
    store = SqliteStore(f"sqlite:///{path}")
    await store.start()
    session = await store.get_session("user_alice", "sess_1")
    assert session == Session(
        id="sess_1",
        user_id="user_alice",
        name="Trip",
        model=None,
        max_history_messages=20,
        instructions=(),
        metadata={"a": "b"},
        created_at=to_time(1),
        updated_at=to_time(2),
        message_count=1,
        total_tokens=5,
        last_seq=1,
        exchange_seq=1,
        last_message_at=to_time(2),
    )
    assert await store.get_session("user_alice", "sess_2") is None
    assert [hit.seq for hit in (await store.search("user_alice", "lisbon", limit=9, offset=0)).items] == [1]
    assert [hit.seq for hit in (await store.search("user_alice", "trip", limit=9, offset=0)).items] == [0]
    await store.aclose()
    with closing(sqlite3.connect(path)) as connection:
        deleted = connection.execute("SELECT deleted_at, model FROM sessions WHERE id = 'sess_2'").fetchall()
        assert deleted == [(3, "fast")]  # since its last change, as far as anybody knows
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.executescript(
                "INSERT INTO audit_log (id, at, action, details) VALUES ('a', 1, 'x', '{}'); DELETE FROM audit_log;"
            )


async def test_what_a_gateway_of_the_revision_before_writes_is_read_whenever_it_was_written(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(older_schema("sqlite") + older_writes("sqlite", "before"))
    store = SqliteStore(f"sqlite:///{path}")
    await store.start()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(older_writes("sqlite", "after"))
    for name in ("before", "after"):
        await check_older_writes(store, name)
    await store.aclose()


def test_messages_leave_with_their_session(path: Path) -> None:
    upgrade(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        keys = connection.execute("PRAGMA foreign_key_list (messages)").fetchall()
    assert [(key[2], key[3], key[4], key[6]) for key in keys] == [("sessions", "session_id", "id", "CASCADE")]


def test_upgrading_twice_is_upgrading_once(path: Path) -> None:
    upgrade(f"sqlite:///{path}")
    once = dump(path)
    upgrade(f"sqlite:///{path}")
    assert dump(path) == once


def test_a_database_that_is_up_to_date_is_started_on_without_alembic(path: Path) -> None:
    upgrade(f"sqlite:///{path}")
    program = (
        "import sys; from gateway.storage.schema import upgrade; "
        f"upgrade('sqlite:///{path}'); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own text


def test_a_migration_leaves_the_logging_of_its_process_alone(path: Path) -> None:
    root, alembic = logging.getLogger(), logging.getLogger("alembic")
    before = (root.level, list(root.handlers), alembic.level, list(alembic.handlers), alembic.disabled)
    upgrade(f"sqlite:///{path}")
    assert (root.level, list(root.handlers), alembic.level, list(alembic.handlers), alembic.disabled) == before


def test_a_failed_migration_leaves_nothing_behind(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE turns (somebody_elses INTEGER)")
    before = dump(path)
    with pytest.raises(StorageUnavailable, match="turns already exists"):
        upgrade(f"sqlite:///{path}")
    assert dump(path) == before


def test_a_database_of_a_later_gateway_is_refused_and_not_touched(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match=r"has schema 9999; this gateway knows schemas up to \d{4}"):
        upgrade(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_two_processes_come_up_on_one_empty_database(path: Path) -> None:
    urls = [f"sqlite:///{path}"] * 2
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(upgrade, urls)) == [None, None]
    assert "alembic_version" in "\n".join(dump(path))


def test_threads_come_up_at_once_on_one_database_and_on_several(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{name}/gateway.db" for name in ("a", "a", "a", "b", "b", "c")]
    start = threading.Barrier(len(urls))

    def come_up(url: str) -> None:
        start.wait()
        upgrade(url)

    with ThreadPoolExecutor(len(urls)) as pool:
        assert list(pool.map(come_up, urls)) == [None] * len(urls)
    assert dump(tmp_path / "a" / "gateway.db") == dump(tmp_path / "c" / "gateway.db")


async def test_two_stores_start_at_once_on_one_empty_database(path: Path) -> None:
    stores = [SqliteStore(f"sqlite:///{path}", checkpoints=checkpoints) for checkpoints in (True, False)]
    await asyncio.gather(*[store.start() for store in stores])
    await asyncio.gather(*[store.ping() for store in stores])
    await asyncio.gather(*[store.aclose() for store in stores])


def test_a_directory_that_cannot_be_made_is_an_outage_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match=r"file/gateway\.db cannot be opened or upgraded"):
        upgrade(f"sqlite:///{tmp_path}/file/gateway.db")


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_new_database_is_its_owners_alone_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        upgrade(f"sqlite:///{path}")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
