"""Brings a SQLite database into being and up to date, before any connection is held.

One at a time: processes and threads that start together on one database queue for a lock on its directory, because
two of them cannot switch one file to WAL at once (SQLite refuses both instead of letting one wait), and because the
second is then to find everything done. The lock needs no file of its own and dies with its holder.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from databases import DatabaseURL
from sqlalchemy import URL, Connection, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from gateway.errors import StorageUnavailable
from gateway.storage.revisions import ONE_AT_A_TIME, known_revisions, refuse_unknown


def upgrade(url: str) -> None:
    """Create the database of `url` if there is none, with its directory, and apply the revisions that it lacks.

    Blocks, and imports Alembic (0.3 s) only if there is something to apply. Raises SchemaTooNew for a database that a
    later gateway has upgraded, StorageUnavailable if it cannot be opened or written.
    """
    path = database_path(url)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(path.parent):
            _prepare(path)
    except (OSError, sqlite3.Error, DBAPIError) as exc:
        raise StorageUnavailable(f"The database {path} cannot be opened or upgraded: {exc}") from exc


def database_path(url: str) -> Path:
    """The file that the databases package opens for `url`. Raises ValueError for a URL that is not a plain file's.

    Where links lead to, as SQLite finds its write-ahead log: our locks must lie beside the same file for everyone.
    """
    parsed = DatabaseURL(url)
    if parsed.dialect != "sqlite" or parsed.database in ("", ":memory:") or parsed.options:
        raise ValueError(f"{url!r} must be sqlite:///PATH")
    return Path(parsed.database).resolve()


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _prepare(path: Path) -> None:
    if not path.exists():
        # Only ever a new file: closing a file that SQLite has open elsewhere in this process would drop its locks.
        path.touch(mode=0o600, exist_ok=False)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        current = current_revision(connection)
        refuse_unknown(current, f"The database {path}")
        connection.execute("PRAGMA journal_mode = WAL")
    if current != known_revisions()[-1]:
        _migrate(path)


def current_revision(connection: sqlite3.Connection) -> str | None:
    """The revision that the database is at; None if it has none of our tables."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _migrate(path: Path) -> None:
    """Apply all missing revisions in one transaction, which begins before the first statement, so that it holds DDL."""
    from alembic import command  # noqa: PLC0415 - 0.3 s that most starts need not spend
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "gateway.storage:migrations")
    engine = create_engine(
        URL.create("sqlite", database=str(path)), poolclass=NullPool, connect_args={"isolation_level": None}
    )
    event.listen(engine, "begin", _begin)
    with ONE_AT_A_TIME, engine.connect() as connection:
        # The server's writer alone may checkpoint: see sqlite/pragmas.py.
        connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")
        connection.rollback()
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
