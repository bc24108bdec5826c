"""Brings a PostgreSQL database up to date, in one transaction.

Processes that start together queue for an advisory lock, and all but the first find everything done. Where there is
nothing to do nothing is written, so that a role without the right to create tables can serve from tables that an
administrator has made (`gateway db sql`).
"""

import asyncio

from asyncpg import DuplicateTableError, InsufficientPrivilegeError

from gateway.errors import StorageUnavailable
from gateway.storage.errors import SchemaTooNew
from gateway.storage.postgres.pool import AnyConnection, Link
from gateway.storage.postgres.queries import QUERIES
from gateway.storage.revisions import ddl, known_revisions


async def prepare(link: Link) -> None:
    """Make sure that the database can serve. Raises StorageUnavailable, for the operator to read, if it cannot."""
    encoding = link.raw.get_settings().server_encoding
    if encoding != "UTF8":
        raise StorageUnavailable(f"The database is encoded in {encoding}. Create one with ENCODING 'UTF8'.")
    try:
        await upgrade(link.raw)
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


async def upgrade(connection: AnyConnection) -> None:
    """Apply the revisions that the database lacks. Raises SchemaTooNew if a later gateway has upgraded it."""
    newest = known_revisions()[-1]
    if await current_revision(connection) == newest:
        return
    async with connection.transaction():
        await connection.execute(QUERIES["lock_schema"])
        current = await current_revision(connection)
        _refuse_unknown(current)
        if current != newest:
            await connection.execute(await asyncio.to_thread(ddl, "postgresql", start=current))


async def current_revision(connection: AnyConnection) -> str | None:
    """The revision that the database is at; None if it has none of our tables."""
    if not await connection.fetchval(QUERIES["has_schema"]):
        return None
    revision: str | None = await connection.fetchval(QUERIES["current_revision"])
    return revision


def _refuse_unknown(current: str | None) -> None:
    known = known_revisions()
    if current is not None and current not in known:
        raise SchemaTooNew(
            f"The database has schema {current}; this gateway knows schemas up to {known[-1]}. "
            "Run the gateway that upgraded it, or a later one."
        )
