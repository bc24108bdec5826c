"""Brings a PostgreSQL database up to date, in one transaction.

Processes that start together queue for an advisory lock, and all but the first find everything done. Where there is
nothing to do nothing is written, so that a role without the right to create tables can serve from tables that an
administrator has made (`gateway db sql`).
"""

import asyncio

from asyncpg import DuplicateTableError, InsufficientPrivilegeError

from gateway.errors import StorageUnavailable
from gateway.storage.postgres.pool import AnyConnection, Link
from gateway.storage.postgres.queries import QUERIES
from gateway.storage.revisions import ddl, known_revisions, refuse_unknown


async def prepare(link: Link) -> None:
    """Make sure that the database can serve. Raises as `upgrade` does."""
    await upgrade(link.raw)


async def upgrade(connection: AnyConnection) -> None:
    """Apply the revisions that the database lacks.

    Raises StorageUnavailable, for the operator to read, if it cannot be; SchemaTooNew if a later gateway has upgraded
    it.
    """
    if problem := encoding_problem(connection):
        raise StorageUnavailable(problem)
    try:
        await _apply(connection)
    except InsufficientPrivilegeError as exc:
        raise StorageUnavailable(
            f"The database lacks tables, which its role may not create: {exc}. "
            "Grant it that, or have the output of `gateway db sql` run by a role that may."
        ) from exc
    except DuplicateTableError as exc:
        raise StorageUnavailable(
            f"The database has tables of somebody else's, by names that the gateway needs: {exc}. "
            "Use another database, or a schema of its own: "
            "CREATE SCHEMA gateway, and ?search_path=gateway in storage.url."
        ) from exc


def encoding_problem(connection: AnyConnection) -> str | None:
    """What is wrong with a database that cannot hold every text, and what to do about it."""
    encoding = connection.get_settings().server_encoding
    if encoding == "UTF8":
        return None
    return (
        f"The database's encoding is {encoding}, which cannot hold every text. "
        "Create it anew: CREATE DATABASE … ENCODING 'UTF8'."
    )


async def _apply(connection: AnyConnection) -> None:
    newest = known_revisions()[-1]
    if await current_revision(connection) == newest:
        return
    async with connection.transaction():
        await connection.execute(QUERIES["lock_schema"])
        current = await current_revision(connection)
        refuse_unknown(current, "The database")
        if current != newest:
            await connection.execute(await asyncio.to_thread(ddl, "postgresql", start=current))


async def current_revision(connection: AnyConnection) -> str | None:
    """The revision that the database is at; None if it has none of our tables."""
    if not await connection.fetchval(QUERIES["has_schema"]):
        return None
    revision: str | None = await connection.fetchval(QUERIES["current_revision"])
    return revision
