"""A PostgreSQL database as an end of a copy.

Statements are never kept prepared: a plan made while a table was empty would be used on when it is full. It is also
what lets a copy go through pgbouncer.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
from asyncpg.transaction import Transaction

from gateway.addresses import shown
from gateway.errors import StorageUnavailable
from gateway.storage.copying.ends import FETCHED, in_batches
from gateway.storage.copying.tables import MESSAGES, SESSIONS, Key, Row, Table
from gateway.storage.postgres.single import connected, translated

_COPY_LOCK = 7_236_510_412_943_001
"""Advisory locks belong to one database: a target that holds the source's lock is the source."""

_SINCE_1970 = 946_684_800_000_000
"""Microseconds from 1970 to 2000, which is when PostgreSQL's times begin."""

_QUEUE = """
INSERT INTO search_queue (session_id, user_id) SELECT id, user_id FROM sessions WHERE id = ANY($1::text[])
ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
"""


@asynccontextmanager
async def postgres_source(url: str) -> AsyncIterator["PostgresSource"]:
    """The source on a database of the current schema."""
    async with connected(url) as connection:
        await _speak_microseconds(connection)
        snapshot = connection.transaction(isolation="repeatable_read", readonly=True)
        await snapshot.start()
        await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", _COPY_LOCK)
        yield PostgresSource(url, connection, snapshot)


@asynccontextmanager
async def postgres_target(url: str) -> AsyncIterator["PostgresTarget"]:
    """The target on a database of the current schema."""
    async with connected(url) as connection:
        await _speak_microseconds(connection)
        # The lock is let go at once: it is only to be seen whether the source has it.
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _COPY_LOCK):
            raise StorageUnavailable(f"{shown(url)} is the source of this copy, or of another one that is running.")
        yield PostgresTarget(url, connection)


class PostgresSource:
    """ends.Source in one read-only transaction, which sees one moment."""

    def __init__(self, url: str, connection: asyncpg.Connection, snapshot: Transaction) -> None:
        self._url = url
        self._connection = connection
        self._snapshot = snapshot

    async def batches(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        columns = ", ".join(table.columns)
        with translated(self._url):
            cursor = await self._connection.cursor(f"SELECT {columns} FROM {table.name}")  # noqa: S608 - names of tables.py

        async def fetch() -> Sequence[Row]:
            with translated(self._url):
                return [tuple(record) for record in await cursor.fetch(FETCHED)]

        async for batch in in_batches(table, fetch):
            yield batch

    async def count(self, table: Table) -> int:
        with translated(self._url):
            return int(await self._connection.fetchval(f"SELECT count(*) FROM {table.name}"))  # noqa: S608 - as above

    async def leave_snapshot(self) -> None:
        with translated(self._url):
            await self._snapshot.rollback()


class PostgresTarget:
    """ends.Target by way of COPY, into a temporary table that keeps what contradicts nothing."""

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self._url = url
        self._connection = connection

    async def find(self, table: Table, keys: Sequence[Key]) -> Mapping[Key, Row]:
        with translated(self._url):
            records = await self._connection.fetch(_find(table), *zip(*keys, strict=True))
        rows = [tuple(record) for record in records]
        return {table.key(row): row for row in rows}

    async def insert(self, table: Table, rows: Sequence[Row]) -> None:
        with translated(self._url):
            async with self._connection.transaction():
                await self._connection.execute(f"CREATE TEMP TABLE copied (LIKE {table.name}) ON COMMIT DROP")
                await self._connection.copy_records_to_table("copied", records=rows, columns=table.columns)
                await self._connection.execute(_insert(table))
                if table in {SESSIONS, MESSAGES}:
                    await self._connection.execute(_QUEUE, sorted({row[0] for row in rows}))


def _find(table: Table) -> str:
    """LATERAL with a limit looks each key up by the primary key's index, whatever the planner thinks of the table."""
    names, types = table.key(table.columns), table.key_types
    wanted = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(types, start=1))
    same = " AND ".join(f"t.{name} = wanted.{name}" for name in names)
    columns = ", ".join(f"found.{column}" for column in table.columns)
    return (
        f"SELECT {columns} FROM unnest({wanted}) AS wanted ({', '.join(names)}), "  # noqa: S608 - names of tables.py
        f"LATERAL (SELECT * FROM {table.name} AS t WHERE {same} LIMIT 1) AS found"
    )


def _insert(table: Table) -> str:
    columns = ", ".join(table.columns)
    return f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM copied ON CONFLICT DO NOTHING"  # noqa: S608 - as above


async def _speak_microseconds(connection: asyncpg.Connection) -> None:
    """Exact, and faster than by way of datetimes."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=lambda time: (time - _SINCE_1970,),
        decoder=lambda value: value[0] + _SINCE_1970,
        format="tuple",
    )
