"""The kinds of store that the contract holds for. Another adapter is one more entry in KINDS."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.ports import Store
from gateway.storage.memory import InMemoryStore
from gateway.storage.schema import upgrade
from gateway.storage.sqlite import SqliteStore


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
    return SqliteStore(url)


KINDS: dict[str, Callable[[str], Store]] = {"memory": make_memory, "sqlite": make_sqlite}

DURABLE = ["sqlite"]
"""Those that a new store on the same URL carries on from."""
