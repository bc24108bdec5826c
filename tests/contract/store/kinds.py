"""The kinds of store that the contract holds for. Another adapter is one more entry in KINDS."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.ports import Store
from gateway.storage.memory import InMemoryStore
from gateway.storage.postgres import PostgresStore
from gateway.storage.postgres.external import ExternalStore
from gateway.storage.schema import upgrade
from gateway.storage.sqlite import SqliteStore
from tests import host_tables

_TIMEOUT = 60
"""Seconds: a slow machine is no outage."""


class MigratedFile:
    """An empty database that was migrated once: copying a file is faster than running migrations in every test."""

    def __init__(self) -> None:
        self._directory = TemporaryDirectory()
        self._path = Path(self._directory.name, "empty.db")
        upgrade(f"sqlite:///{self._path}")

    def copy_to(self, directory: Path) -> str:
        """Returns the URL of the copy."""
        copy = directory / "gateway.db"
        shutil.copyfile(self._path, copy)
        return f"sqlite:///{copy}"

    def remove(self) -> None:
        self._directory.cleanup()


def make_memory(_url: str) -> Store:
    return InMemoryStore()


def make_sqlite(url: str) -> Store:
    return SqliteStore(url, timeout=_TIMEOUT)


def make_postgres(url: str) -> Store:
    return PostgresStore(url, timeout=_TIMEOUT)


def make_external(url: str) -> Store:
    return ExternalStore(url, host_tables.TABLES, timeout=_TIMEOUT)


KINDS: dict[str, Callable[[str], Store]] = {
    "memory": make_memory,
    "sqlite": make_sqlite,
    "postgres": make_postgres,
    "external": make_external,
}

ON_POSTGRESQL = ["postgres", "external"]

DURABLE = ["sqlite", *ON_POSTGRESQL]
"""Those that a new store on the same URL carries on from."""

LEASED = ON_POSTGRESQL
"""Those that cannot see that a holder's process has died, and let its holds lapse with their lease."""
