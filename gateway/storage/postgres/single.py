"""One connection for one command of an operator's; a server has a pool instead."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from gateway.addresses import shown
from gateway.errors import StorageUnavailable

_SECONDS = 10.0


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection, closed at the end. Raises StorageUnavailable, with words for the operator, for what fails in it.

    Nothing is kept prepared, so that it works through pgbouncer.
    """
    with translated(url):
        connection = await asyncpg.connect(url, timeout=_SECONDS, statement_cache_size=0)
        try:
            yield connection
        finally:
            await connection.close(timeout=_SECONDS)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """What the driver itself says of a URL is left out: it may quote the password. What a server says is passed on."""
    try:
        yield
    except asyncpg.InvalidCatalogNameError as exc:
        raise StorageUnavailable(
            f"The database {shown(url)} says: {exc}. Create it: CREATE DATABASE … ENCODING 'UTF8', or correct the URL."
        ) from exc
    except (asyncpg.PostgresError, OSError) as exc:  # TimeoutError is an OSError
        raise StorageUnavailable(f"The database {shown(url)} says: {str(exc) or 'nothing, for too long'}") from exc
    except (asyncpg.InterfaceError, ValueError) as exc:
        raise StorageUnavailable(f"The database {shown(url)} cannot be used. Is the URL right?") from exc
