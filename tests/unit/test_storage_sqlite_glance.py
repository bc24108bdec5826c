"""A glance answers at once or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.storage.sqlite import pragmas
from gateway.storage.sqlite.glance import Glance


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another connection to the same database."""
    with closing(sqlite3.connect(tmp_path / "glance.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.execute("INSERT INTO t VALUES (1)")
        yield connection


def first(connection: sqlite3.Connection) -> tuple[int]:
    row: tuple[int] = connection.execute("SELECT n FROM t").fetchone()
    return row


def test_what_others_have_committed_is_seen(tmp_path: Path, other: sqlite3.Connection) -> None:
    with closing(Glance(tmp_path / "glance.db", pragmas.READER)) as glance:
        assert glance.run(first) == (1,)
        other.execute("UPDATE t SET n = 2")
        assert glance.run(first) == (2,)


def test_a_lock_is_not_waited_for(tmp_path: Path, other: sqlite3.Connection) -> None:
    with closing(Glance(tmp_path / "glance.db", ())) as glance:  # no WAL: there a writer keeps readers out
        assert glance.run(lambda connection: connection.execute("PRAGMA busy_timeout").fetchone()) == (0,)
        other.execute("BEGIN EXCLUSIVE")
        assert glance.run(first) is None
        other.execute("ROLLBACK")
        assert glance.run(first) == (1,)


def test_nothing_is_written(tmp_path: Path, other: sqlite3.Connection) -> None:
    with closing(Glance(tmp_path / "glance.db", pragmas.READER)) as glance:
        assert glance.run(lambda connection: connection.execute("DELETE FROM t").rowcount) is None
        assert first(other) == (1,)


def test_a_mistake_of_ours_is_raised(tmp_path: Path, other: sqlite3.Connection) -> None:
    del other
    with closing(Glance(tmp_path / "glance.db", ())) as glance, pytest.raises(sqlite3.ProgrammingError):
        glance.run(lambda connection: connection.execute("SELECT ?").fetchone())


def test_a_failure_is_nobodys_answer(tmp_path: Path, other: sqlite3.Connection) -> None:
    del other
    with closing(Glance(tmp_path / "glance.db", pragmas.READER)) as glance:
        assert glance.run(lambda connection: connection.execute("SELECT n FROM nothing").fetchone()) is None
        assert glance.run(first) == (1,)


def test_a_file_that_is_no_database_any_longer_is_for_a_lane_to_report(tmp_path: Path) -> None:
    path = tmp_path / "glance.db"
    with closing(Glance(path, ())) as glance:
        path.write_bytes(b"x" * 4096)
        assert glance.run(first) is None
