"""The schema of a database, for operators: which revision it is at, bringing it up to date, and what is wrong with it.

The database is that of sqlite:///PATH or postgresql://…. All but `upgrade` only read.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from gateway.addresses import shown
from gateway.errors import StorageUnavailable
from gateway.storage import schema
from gateway.storage.revisions import known_revisions

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")

Probe = Callable[["asyncpg.Connection"], Awaitable[Sequence[str]]]
"""Looks at a PostgreSQL database for more that might be wrong; returns it in words."""

_MOST_PROBLEMS = 10


async def current_revision(url: str) -> str | None:
    """The revision that the database is at; None if it has none of our tables, or is not there yet.

    Raises StorageUnavailable, as do the others.
    """
    if url.startswith("sqlite:"):
        path = schema.database_path(url)
        return _read_sqlite(path, schema.current_revision) if path.exists() else None
    from gateway.storage.postgres.schema import current_revision as read  # noqa: PLC0415 - only the driver that is used
    from gateway.storage.postgres.single import connected  # noqa: PLC0415

    async with connected(url) as connection:
        return await read(connection)


async def upgrade(url: str) -> None:
    """Create the tables, or bring them up to date. Changes nothing where they are."""
    if url.startswith("sqlite:"):
        await asyncio.to_thread(schema.upgrade, url)
        return
    from gateway.storage.postgres.schema import upgrade as apply  # noqa: PLC0415 - only the driver that is used
    from gateway.storage.postgres.single import connected  # noqa: PLC0415

    async with connected(url) as connection:
        await apply(connection)


async def check(url: str, *, probe: Probe | None = None) -> Sequence[str]:
    """What keeps a gateway from working with the database, each with what to do about it; empty if nothing does.

    `probe` is asked about a PostgreSQL database, whatever is wrong with our own tables in it.
    """
    if not url.startswith("sqlite:"):
        return await _check_postgres(url, probe)
    if problem := schema_problem(url, await current_revision(url)):
        return [problem]
    return _read_sqlite(schema.database_path(url), _sqlite_damage)


async def _check_postgres(url: str, probe: Probe | None) -> Sequence[str]:
    from gateway.storage.postgres.schema import current_revision as read  # noqa: PLC0415 - only the driver that is used
    from gateway.storage.postgres.schema import encoding_problem  # noqa: PLC0415
    from gateway.storage.postgres.single import connected  # noqa: PLC0415
    from gateway.storage.postgres.usable import find_problems  # noqa: PLC0415

    async with connected(url) as connection:
        if problem := encoding_problem(connection):
            return [problem]  # nothing that would be done in this database is of use
        problem = schema_problem(url, await read(connection))
        ours = [problem] if problem else await find_problems(connection)
        return [*ours, *(await probe(connection) if probe else ())]


def schema_problem(url: str, revision: str | None) -> str | None:
    """What is wrong with a database of that revision; None if it is the one that this gateway works with."""
    known = known_revisions()
    if revision == known[-1]:
        return None
    if revision is None:
        return f"{shown(url)} has no tables of the gateway's. Run `gateway db upgrade` on it."
    if revision in known:
        return f"{shown(url)} is at revision {revision}, behind {known[-1]}. Run `gateway db upgrade` on it."
    return (
        f"{shown(url)} is at revision {revision}; this gateway knows revisions up to {known[-1]}. "
        "Use the gateway that upgraded it, or a later one."
    )


def _read_sqlite(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            return read(connection)
    except sqlite3.Error as exc:
        raise StorageUnavailable(f"The database {path} cannot be read: {exc}") from exc


def _sqlite_damage(connection: sqlite3.Connection) -> list[str]:
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(10)")]
    problems = [] if found == ["ok"] else [f"The file is damaged: {text}. Restore a backup." for text in found]
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_PROBLEMS):
        problems.append(f"Row {rowid} of {table} refers to a row of {parent} that is not there. Restore a backup.")
    return problems
