"""A SQLite file as an end of a copy. Its calls block: there is nobody else in a copy's event loop."""

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import orjson

from gateway.errors import StorageUnavailable
from gateway.storage.copying.ends import FETCHED, in_batches
from gateway.storage.copying.tables import MESSAGES, SESSIONS, Key, Row, Table
from gateway.storage.sqlite.pragmas import GUEST_WRITER

_BUSY_SECONDS = 30.0

_QUEUE = """
INSERT INTO search_queue (session_id, user_id, version) SELECT id, user_id, random() FROM sessions
WHERE id IN (SELECT value FROM json_each(?))
ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
"""


@asynccontextmanager
async def sqlite_source(path: Path) -> AsyncIterator["SqliteSource"]:
    """The source on an existing file, opened read-only: not even its write-ahead log is copied back."""
    with _opened(path, f"file:{quote(str(path))}?mode=ro") as connection:
        connection.execute("BEGIN")
        yield SqliteSource(path, connection)


@asynccontextmanager
async def sqlite_target(path: Path) -> AsyncIterator["SqliteTarget"]:
    """The target on a file of the current schema. Checkpoints are left to a server: see sqlite/pragmas.py."""
    with _opened(path, f"file:{quote(str(path))}?mode=rw") as connection:
        for pragma in GUEST_WRITER:
            connection.execute(pragma)
        yield SqliteTarget(path, connection)


class SqliteSource:
    """ends.Source in one transaction, which sees one moment from its first read on."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    async def batches(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        columns = ", ".join(table.columns)
        with _translated(self._path):
            cursor = self._connection.execute(f"SELECT {columns} FROM {table.name}")  # noqa: S608 - names of tables.py

        async def fetch() -> Sequence[Row]:
            with _translated(self._path):
                return [_from_sqlite(table, row) for row in cursor.fetchmany(FETCHED)]

        async for batch in in_batches(table, fetch):
            yield batch

    async def count(self, table: Table) -> int:
        with _translated(self._path):
            row = self._connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()  # noqa: S608 - as above
        return int(row[0])

    async def leave_snapshot(self) -> None:
        self._connection.rollback()


class SqliteTarget:
    """ends.Target with one transaction a batch."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    async def find(self, table: Table, keys: Sequence[Key]) -> Mapping[Key, Row]:
        with _translated(self._path):
            found = self._connection.execute(_find(table), (orjson.dumps(keys),))
            return {table.key(row): _from_sqlite(table, row) for row in found}

    async def insert(self, table: Table, rows: Sequence[Row]) -> None:
        with _translated(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(_insert(table), rows)
            if table in {SESSIONS, MESSAGES}:
                self._connection.execute(_QUEUE, (orjson.dumps(sorted({row[0] for row in rows})),))


def _find(table: Table) -> str:
    """CROSS JOIN keeps the order: each key is looked up by the primary key's index, however large the table is."""
    columns = ", ".join(f"t.{column}" for column in table.columns)
    names = table.key(table.columns)
    same = " AND ".join(f"t.{name} = json_extract(wanted.value, '$[{place}]')" for place, name in enumerate(names))
    return f"SELECT {columns} FROM json_each(?) AS wanted CROSS JOIN {table.name} AS t ON {same}"  # noqa: S608 - names of tables.py


def _insert(table: Table) -> str:
    columns, marks = ", ".join(table.columns), ", ".join("?" * len(table.columns))
    return f"INSERT INTO {table.name} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - as above


def _from_sqlite(table: Table, row: Row) -> Row:
    if not table.booleans:
        return row
    cells = list(row)
    for place in table.booleans:
        cells[place] = bool(cells[place])
    return tuple(cells)


@contextmanager
def _opened(path: Path, uri: str) -> Iterator[sqlite3.Connection]:
    with _translated(path), closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_SECONDS)) as it:
        yield it


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise StorageUnavailable(f"The database {path} cannot be read or written: {exc}") from exc
