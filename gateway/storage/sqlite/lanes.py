"""The connections of one store to its file, and the locks that it shares with other processes.

One writer, which commits in groups, and readers that never wait for it. Reads give up after `timeout`: somebody waits
for them, and nothing is lost. Writes wait for their outcome, so that what was refused is not stored behind the caller's
back. Another process that writes, or holds a lock, fails them after `timeout` too, or twice that if it is both.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import StorageUnavailable
from gateway.storage.schema import database_path, upgrade
from gateway.storage.sqlite import pragmas
from gateway.storage.sqlite.batches import Outcome, Work, read_batch, write_batch
from gateway.storage.sqlite.glance import Glance
from gateway.storage.sqlite.holds import Holds
from gateway.storage.sqlite.lane import Lane

T = TypeVar("T")

_READERS = 2


class Lanes:
    """`timeout`, `checkpoints` and what is raised are as for SqliteStore."""

    def __init__(self, url: str, *, timeout: float, checkpoints: bool) -> None:
        self._path = database_path(url)
        self._url = url
        self._timeout = timeout
        self._may_keep = checkpoints
        self._holds: Holds | None = None
        self._writer: Lane | None = None
        self._readers: list[Lane] = []
        self._searcher: Lane | None = None
        self._reporter: Lane | None = None
        self._glance: Glance | None = None
        self.is_keeper = False
        """Whether this process alone checkpoints and cleans: see pragmas.py."""

    async def start(self) -> None:
        await asyncio.to_thread(upgrade, self._url)
        try:
            self._holds = _open_holds(self._path)
            self.is_keeper = self._may_keep and self._holds.become_keeper()
            self._writer = await Lane.open(
                self._url,
                pragmas=pragmas.WRITER if self.is_keeper else pragmas.GUEST_WRITER,
                batch=partial(_write_in_turn, self._holds, self._timeout),
                busy_timeout=self._timeout,
            )
            for _ in range(_READERS):
                self._readers.append(await self._open_reader())
            self._searcher = await self._open_reader()
            self._reporter = await self._open_reader()
            self._glance = self._open_glance()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """In the order that pragmas.py asks for."""
        readers, self._readers = self._readers, []
        for lane in (self._searcher, self._reporter):
            if lane is not None:
                readers.append(lane)
        self._searcher = self._reporter = None
        writer, self._writer = self._writer, None
        holds, self._holds = self._holds, None
        glance, self._glance = self._glance, None
        if glance is not None:
            glance.close()
        for reader in readers:
            await reader.aclose()
        if writer is not None:
            await writer.aclose()
        if holds is not None:
            holds.close()
        self.is_keeper = False

    async def _open_reader(self) -> Lane:
        return await Lane.open(self._url, pragmas=pragmas.READER, batch=read_batch, busy_timeout=self._timeout)

    def _open_glance(self) -> Glance:
        try:
            return Glance(self._path, pragmas.READER)
        except sqlite3.Error as exc:
            raise StorageUnavailable from exc

    @property
    def is_alone(self) -> bool:
        """Whether nobody but this store has the database open."""
        return self.holds.presence.is_alone

    async def keep(self) -> None:
        """Become the keeper if there is none."""
        holds = self.holds
        if self._may_keep and not self.is_keeper and holds.become_keeper():
            await self.write(lambda connection: connection.execute(pragmas.CHECKPOINTING).close())
            self.is_keeper = True

    @property
    def holds(self) -> Holds:
        if self._holds is None:
            raise StorageUnavailable
        return self._holds

    @property
    def writer(self) -> Lane:
        if self._writer is None:
            raise StorageUnavailable
        return self._writer

    @property
    def write_queue(self) -> int:
        """How many writes wait or are being done."""
        return 0 if self._writer is None else self._writer.load

    @property
    def readers(self) -> list[Lane]:
        if not self._readers:
            raise StorageUnavailable
        return self._readers

    async def read(self, work: Work[T], *, deadline: float | None = None) -> T:
        return await min(self.readers, key=_load).run(work, deadline=deadline or self.deadline())

    def glance(self, work: Work[T]) -> T | None:
        """Read at once what is very likely in memory; None where `read` has to be asked."""
        return None if self._glance is None else self._glance.run(work)

    async def search(self, work: Work[T], *, deadline: float | None = None) -> T:
        """For reads that may take long: they wait for each other, and nobody else for them."""
        if self._searcher is None:
            raise StorageUnavailable
        return await self._searcher.run(work, deadline=deadline)

    async def report(self, work: Work[T]) -> T:
        """For sums over much of the ledger, which may take longer still: searches do not wait for them either."""
        if self._reporter is None:
            raise StorageUnavailable
        return await self._reporter.run(work)

    async def write(self, work: Work[T], *, deadline: float | None = None) -> T:
        return await self.writer.run(work, deadline=deadline)

    def deadline(self) -> float:
        """On the loop's clock, for something that begins now."""
        return asyncio.get_running_loop().time() + self._timeout


def _open_holds(path: Path) -> Holds:
    try:
        return Holds(path)
    except OSError as exc:
        raise StorageUnavailable(f"The file of locks beside the database {path} cannot be opened: {exc}") from exc


def _write_in_turn(
    holds: Holds, patience: float, connection: sqlite3.Connection, works: Sequence[Work[Any]]
) -> list[Outcome]:
    with holds.turn_to_write(patience):
        return write_batch(connection, works)


def _load(lane: Lane) -> int:
    return lane.load
