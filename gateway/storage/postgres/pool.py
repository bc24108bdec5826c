"""Connections of one database, lent to one work at a time; what a work may wait for is bounded.

Invariant: whatever becomes of a work, its connection is given back, or replaced if it broke; and only
StorageUnavailable, ConstraintViolated and mistakes of our own get out.

The `databases` package opens the pool and closes it. Its Connection objects belong to the task that asked for them and
survive a cancelled release as a broken entry in its table, so works are given the driver's connections beneath.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction
from databases import Database

from gateway.errors import StorageUnavailable
from gateway.storage.errors import ConstraintViolated
from gateway.storage.postgres.lender import Lender

T = TypeVar("T")

_OUTAGES = (
    OSError,  # TimeoutError is one
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that has just been told that it is ended
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
)

_SECONDS_TO_CLOSE = 5.0

_WRONG_URL = "PostgreSQL's driver cannot read storage.url. Look at its options, such as sslmode, and at its port."
"""Instead of what the driver says: that may quote the password."""

AnyConnection = asyncpg.Connection | PoolConnectionProxy
"""The driver's own, or one that a pool has lent."""


class Link:
    """A lent connection, and the statements that run on it, by name."""

    __slots__ = ("_connection", "_statements")

    def __init__(self, connection: AnyConnection, statements: Mapping[str, str]) -> None:
        self._connection = connection
        self._statements = statements

    async def row(self, name: str, *values: Any) -> asyncpg.Record | None:
        return await self._connection.fetchrow(self._statements[name], *values)

    async def one(self, name: str, *values: Any) -> asyncpg.Record:
        """The row that there must be."""
        row = await self.row(name, *values)
        if row is None:
            raise LookupError(f"{name} found nothing")
        return row

    async def rows(self, name: str, *values: Any) -> list[asyncpg.Record]:
        return await self._connection.fetch(self._statements[name], *values)

    async def value(self, name: str, *values: Any) -> Any:
        """The first column of the first row; None if there is no row."""
        return await self._connection.fetchval(self._statements[name], *values)

    def transaction(self) -> Transaction:
        return self._connection.transaction()

    @property
    def raw(self) -> AnyConnection:
        """The connection itself."""
        return self._connection


Work = Callable[[Link], Awaitable[T]]


class Pool:
    """Open with `start`, and use from one event loop. `url` may hold a password: it is never shown."""

    def __init__(
        self,
        url: str,
        statements: Mapping[str, str],
        *,
        timeout: float,
        size: int,
        statement_cache_size: int,
    ) -> None:
        self._statements = statements
        self._timeout = timeout
        self._size = size
        # The whole URL is for asyncpg to read (sslmode, several hosts, …): `databases` knows but a part of that, and
        # writes the URL that it is given into the log.
        self._options: dict[str, Any] = {
            "dsn": url,
            "database": None,  # `databases` makes an empty name of a URL that has none
            "min_size": 1,
            "max_size": size,
            "statement_cache_size": statement_cache_size,
            "timeout": timeout,
            "reset": _leave_as_it_is,
        }
        self._opened: tuple[Database, Lender] | None = None
        self._lender: Lender | None = None
        self._running = 0
        self._idle = asyncio.Event()
        self._returns: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect. Raises StorageUnavailable."""
        database = Database("postgresql:", **self._options)
        with _connecting():
            async with asyncio.timeout(self._timeout):
                await database.connect()
        self._lender = Lender(_pool_beneath(database), self._size)
        self._opened = database, self._lender

    async def aclose(self) -> None:
        """Refuse new works, let running ones end, and close all connections. Closing twice is harmless."""
        self._lender = None
        while self._running:
            self._idle.clear()
            await self._idle.wait()
        await asyncio.gather(*self._returns)
        opened, self._opened = self._opened, None
        if opened is not None:
            database, lender = opened
            # A server that does not even take a goodbye is not waited for: the pool cuts its connections then.
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_TO_CLOSE):
                    await lender.aclose()
                    await database.disconnect()

    def gauges(self) -> Mapping[str, float]:
        """As Store.gauges."""
        lender = self._lender
        return {
            "database_pool_size": self._size,
            "database_pool_in_use": 0 if lender is None else self._size - lender.free,
            "database_pool_waiting": 0 if lender is None else lender.waiting,
        }

    async def run(self, work: Work[T], *, patience: float | None) -> T:
        """The result of `work` on a connection of its own, all of it within `patience` seconds.

        Raises StorageUnavailable, ConstraintViolated, or whatever `work` raises on its own account.
        """
        lender = self._lender
        if lender is None:
            raise StorageUnavailable
        self._running += 1
        try:
            with _translated():
                return await self._run(lender, work, patience)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _run(self, lender: Lender, work: Work[T], patience: float | None) -> T:
        async with asyncio.timeout(patience):
            connection = await lender.take()
            try:
                result = await work(Link(connection, self._statements))
            except BaseException:
                self._give_back(lender, connection)
                raise
        lender.keep(connection)
        return result

    def _give_back(self, lender: Lender, connection: PoolConnectionProxy) -> None:
        """In a task of its own: what still runs is cancelled first, for which the caller must not wait."""
        task = asyncio.create_task(_release(lender, connection))
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)


def _pool_beneath(database: Database) -> "asyncpg.Pool":
    pool: asyncpg.Pool = database._backend._pool  # noqa: SLF001 - there is no public way to it
    return pool


async def _release(lender: Lender, connection: PoolConnectionProxy) -> None:
    with suppress(*_OUTAGES):  # the pool has cut the connection then, and will open another
        await lender.give_back(connection)


async def _leave_as_it_is(_: PoolConnectionProxy) -> None:
    """Instead of the query by which asyncpg resets a session that is given back: ours never set anything."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as exc:
        raise ConstraintViolated(str(exc)) from exc
    except _OUTAGES as exc:
        if isinstance(exc, ValueError):  # a value that the driver cannot encode
            raise
        raise StorageUnavailable from exc


@contextmanager
def _connecting() -> Iterator[None]:
    """As _translated, for the operator to read. What the driver says names the host, the role and the database."""
    try:
        yield
    except asyncpg.InvalidCatalogNameError as exc:
        raise StorageUnavailable(
            f"PostgreSQL answers, but {exc}. Create it: CREATE DATABASE … ENCODING 'UTF8', or correct storage.url."
        ) from exc
    except TimeoutError as exc:
        raise StorageUnavailable("PostgreSQL does not answer in time. Is the host in storage.url right?") from exc
    except asyncpg.ClientConfigurationError:
        raise StorageUnavailable(_WRONG_URL) from None
    except _OUTAGES as exc:
        raise StorageUnavailable(f"PostgreSQL cannot be used: {exc}") from exc
    except ValueError:  # not of a certificate that is refused: that is an OSError as well
        raise StorageUnavailable(_WRONG_URL) from None
