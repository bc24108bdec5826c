"""Reads on the event loop itself, for what is almost certainly in memory.

A hop to a lane's thread and back costs several times what reading one row does, and a busy loop hands the interpreter's
lock to and fro for it. So a session whose window is cached is looked up right here: this process has read or written
its row not long ago, and the page is still in the system's cache.

Invariant: nothing here waits until a lock's timeout. Readers of a WAL are kept out for moments alone, by a checkpoint
that restarts it or by a recovery; whoever meets one is answered by a lane, as is any other failure of the database.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from gateway.storage.sqlite.batches import BUGS, Work

T = TypeVar("T")


class Glance:
    """A connection of the event loop's own. Raises sqlite3.Error if the database cannot be opened."""

    def __init__(self, path: Path, pragmas: Sequence[str]) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        try:
            for pragma in (*pragmas, "PRAGMA busy_timeout = 0"):
                self._connection.execute(pragma).close()
        except BaseException:
            self._connection.close()
            raise

    def run(self, work: Work[T]) -> T | None:
        """The result of `work`, a single statement; None where it is for a lane to find out."""
        try:
            return work(self._connection)
        except BUGS:
            raise
        except sqlite3.Error:
            return None

    def close(self) -> None:
        self._connection.close()
