"""The one place that knows which adapter serves which URL, and that loads no driver for another."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.addresses import POSTGRESQL, check_postgres_url
from gateway.ports import Store

if TYPE_CHECKING:
    from gateway.settings import ExternalTables, StorageSettings  # with pydantic, slower to load than all the rest


def make_store(
    url: str,
    *,
    timeout: float = 2.0,
    pool_size: int = 10,
    statement_cache_size: int = 100,
    checkpoints: bool = True,
    external: "ExternalTables | None" = None,
) -> Store:
    """A store, not yet started: of `memory:`, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE.

    `timeout`: seconds that the database may take to answer. `pool_size` and `statement_cache_size` are PostgreSQL's,
    `checkpoints` is SQLite's: False for a process beside the one that serves. `external`: the host's tables, where
    sessions and messages are kept in those (PostgreSQL). Raises ValueError, which quotes no URL, for any other.
    """
    is_postgresql = url.startswith(POSTGRESQL)
    if is_postgresql:
        check_postgres_url(url)
    if external is not None and not is_postgresql:
        raise ValueError("Tables of your own are for PostgreSQL.")
    if url == "memory:":
        from gateway.storage.memory import InMemoryStore  # noqa: PLC0415 - as for the others: only what is used

        return InMemoryStore()
    if url.startswith("sqlite:"):
        from gateway.storage.sqlite import SqliteStore  # noqa: PLC0415

        return SqliteStore(url, timeout=timeout, checkpoints=checkpoints)
    if is_postgresql and external is not None:
        from gateway.storage.postgres.external import ExternalStore  # noqa: PLC0415

        return ExternalStore(
            url, external, timeout=timeout, pool_size=pool_size, statement_cache_size=statement_cache_size
        )
    if is_postgresql:
        from gateway.storage.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore(url, timeout=timeout, pool_size=pool_size, statement_cache_size=statement_cache_size)
    raise ValueError(
        f"There is no store for {_scheme(url)}: it must be memory:, sqlite:///PATH or "
        "postgresql://USER:PASSWORD@HOST/DATABASE."
    )


def configured_store(storage: "StorageSettings", *, checkpoints: bool = True) -> Store:
    """The store that the settings name. `checkpoints`: False for a process that shares a running server's database."""
    return make_store(
        storage.url,
        timeout=storage.timeout,
        pool_size=storage.pool_size,
        statement_cache_size=storage.statement_cache_size,
        checkpoints=checkpoints,
        external=storage.tables if storage.schema_ == "external" else None,
    )


def _scheme(url: str) -> str:
    """All of a URL that may be shown: what follows can hold a password."""
    return repr(f"{urlsplit(url).scheme}:…") if "://" in url else "such a URL"
