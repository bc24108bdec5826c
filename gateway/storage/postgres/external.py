"""Sessions and messages in two tables of the host's (storage.schema: external), all else in ours beside them.

The host owns the DDL of the two, the gateway writes and reads rows: its own, which external.sql tells from the host's.
Our own tables of sessions and messages are there, and stay empty. The names of the host's tables come from the settings
alone, and are put into the statements quoted, once, before anything is run.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway import __version__
from gateway.errors import StorageUnavailable
from gateway.settings import ExternalTables
from gateway.storage.postgres.pool import Link
from gateway.storage.postgres.queries import QUERIES
from gateway.storage.postgres.store import PostgresStore
from gateway.storage.queries import filled, read

_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "messages": {
        "thread_id": "text",
        "message_id": "text",
        "session_id": "text",
        "user_id": "text",
        "role": "text",
        "created_at": "timestamp with time zone",
        "parts_json": "jsonb",
    },
    "sessions": {
        "session_id": "text",
        "thread_id": "text",
        "sdk_version": "text",
        "state_json": "jsonb",
        "metadata_json": "jsonb",
        "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
        "archived_at": "timestamp with time zone",
    },
}
"""What each table must have, with information_schema's names of the types. It may have more."""

_PRIMARY_KEYS: Mapping[str, list[str]] = {"messages": ["thread_id", "message_id"], "sessions": ["session_id"]}

_OLDEST_SERVER = 16
"""PostgreSQL's major version from which on it can say, without failing, whether JSONB can hold a message."""

_TEMPLATES = read(Path(__file__).with_name("external.sql"))


class ExternalStore(PostgresStore):
    """ports.Store, with the host's `tables` in place of our own for sessions and messages."""

    def __init__(
        self,
        url: str,
        tables: ExternalTables,
        *,
        timeout: float = 2.0,
        pool_size: int = 10,
        statement_cache_size: int = 100,
    ) -> None:
        super().__init__(
            url,
            timeout=timeout,
            pool_size=pool_size,
            statement_cache_size=statement_cache_size,
            statements=statements(tables),
        )
        self._tables = tables

    async def start(self) -> None:
        """Also raises StorageUnavailable, with everything that is wrong with the host's tables."""
        await super().start()
        try:
            await self._pool.run(self._check, patience=None)
        except BaseException:
            await self.aclose()
            raise

    async def _check(self, link: Link) -> None:
        if found := await problems(link.raw, self._tables):
            raise StorageUnavailable("\n".join(["The tables under storage.tables cannot be used:", *found]))


def statements(tables: ExternalTables) -> Mapping[str, str]:
    """The statements of queries.sql, those that touch sessions or messages rewritten for `tables`."""
    values = {kind: quoted for kind, (_, quoted) in _names(tables).items()} | {"version": __version__}
    rewritten = {name: filled(text, values) for name, text in _TEMPLATES.items()}
    return MappingProxyType({**QUERIES, **rewritten})


async def problems(connection: asyncpg.Connection | PoolConnectionProxy, tables: ExternalTables) -> list[str]:
    """Everything that keeps the gateway from using the host's tables, a line each; empty if there is nothing."""
    names = _names(tables)
    rows = await connection.fetch(_TEMPLATES["host_columns"], names["messages"][1], names["sessions"][1])
    found = [
        problem
        for kind in _COLUMNS
        for problem in _table_problems(kind, names[kind][0], [_Column(*row[1:]) for row in rows if row[0] == kind])
    ]
    if (version := connection.get_server_version().major) < _OLDEST_SERVER:
        found.append(f"PostgreSQL {version} is too old for them: it must be {_OLDEST_SERVER} or later.")
    return found


class _Column(NamedTuple):
    """A row of host_columns."""

    name: str
    type: str
    may_be_left_out: bool
    key_place: int | None


def _table_problems(kind: str, table: str, columns: Sequence[_Column]) -> Iterator[str]:
    if not columns:
        yield f"{table}: there is no such table, or this role has no right to it."
        return
    types = {column.name: column.type for column in columns}
    for name, wanted in _COLUMNS[kind].items():
        if name not in types:
            yield f"{table}.{name} is missing: it must be {wanted}."
        elif types[name] != wanted:
            yield f"{table}.{name} is {types[name]}: it must be {wanted}."
    for column in columns:
        if column.name not in _COLUMNS[kind] and not column.may_be_left_out:
            yield f"{table}.{column.name} must be nullable or have a default: the gateway does not know it."
    key = sorted((column.key_place, column.name) for column in columns if column.key_place is not None)
    if [name for _, name in key] != _PRIMARY_KEYS[kind]:
        yield f"{table}: its primary key must be ({', '.join(_PRIMARY_KEYS[kind])})."


def _names(tables: ExternalTables) -> Mapping[str, tuple[str, str]]:
    """The two tables: as in the settings, and quoted. Raises ValueError unless both are named."""
    if tables.messages is None or tables.sessions is None:
        raise ValueError("Both tables.messages and tables.sessions must be named.")
    return {
        "messages": (tables.messages, _quoted(tables.messages)),
        "sessions": (tables.sessions, _quoted(tables.sessions)),
    }


def _quoted(name: str) -> str:
    """The settings let no quote through; it is doubled all the same."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
