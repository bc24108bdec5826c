"""The store on one SQLite file: a writer that commits in groups, and readers that never wait for it.

Reads give up after `timeout`, and so does the opening of a turn: a client is waiting, and nothing is lost. Other
writes wait for their outcome, so that what was refused is not stored behind the caller's back; a lock held by another
process fails them after `timeout` too, by way of busy_timeout.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from gateway.domain import ApiKey, LedgerEntry, Session, SessionChanges, StoredMessage
from gateway.errors import StorageUnavailable
from gateway.ports import ClosedTurn, OpenedTurn, Page, TurnOpening
from gateway.storage.schema import database_path, upgrade
from gateway.storage.sqlite import keys, pragmas, sessions, turns
from gateway.storage.sqlite.batches import Work, read_batch, write_batch
from gateway.storage.sqlite.lane import Lane
from gateway.storage.sqlite.queries import QUERIES

T = TypeVar("T")

_READERS = 2


class SqliteStore:
    """ports.Store on the file of `url`, sqlite:///PATH. One process at a time may serve from a file.

    `timeout`: seconds that the database may take to answer. `checkpoints=False` is for a process beside the serving
    one, such as a command: the reason is in pragmas.py. Raises ValueError for any other kind of URL.
    """

    def __init__(self, url: str, *, timeout: float = 2.0, checkpoints: bool = True) -> None:
        database_path(url)
        self._url = url
        self._timeout = timeout
        self._writer_pragmas = pragmas.WRITER if checkpoints else pragmas.GUEST_WRITER
        self._writer: Lane | None = None
        self._readers: list[Lane] = []

    async def start(self) -> None:
        await asyncio.to_thread(upgrade, self._url)
        try:
            self._writer = await Lane.open(
                self._url, pragmas=self._writer_pragmas, batch=write_batch, busy_timeout=self._timeout
            )
            for _ in range(_READERS):
                reader = await Lane.open(
                    self._url, pragmas=pragmas.READER, batch=read_batch, busy_timeout=self._timeout
                )
                self._readers.append(reader)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        readers, self._readers = self._readers, []
        writer, self._writer = self._writer, None
        for reader in readers:
            await reader.aclose()
        if writer is not None:
            await writer.aclose()  # last, so that it is the writer that checkpoints: see pragmas.py

    async def ping(self) -> None:
        await self._read(_ping)

    # users and keys

    async def has_keys(self) -> bool:
        return await self._read(keys.has_any)

    async def add_key(self, key: ApiKey) -> ApiKey:
        return await self._write(lambda connection: keys.add(connection, key))

    async def find_key(self, key_id: str) -> ApiKey | None:
        return await self._read(lambda connection: keys.find(connection, key_id))

    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        return await self._read(lambda connection: keys.list_all(connection, user_name))

    async def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        return await self._write(lambda connection: keys.revoke(connection, key_id, at))

    # sessions

    async def create_session(self, session: Session) -> None:
        await self._write(lambda connection: sessions.create(connection, session))

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        return await self._read(lambda connection: sessions.find(connection, user_id, session_id))

    async def list_sessions(
        self, user_id: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[Session]:
        return await self._read(
            lambda connection: sessions.list_of_user(
                connection, user_id, limit=limit, offset=offset, include_archived=include_archived
            )
        )

    async def update_session(
        self, user_id: str, session_id: str, changes: SessionChanges, at: datetime
    ) -> Session | None:
        return await self._write(lambda connection: sessions.update(connection, user_id, session_id, changes, at))

    async def delete_session(self, user_id: str, session_id: str, at: datetime) -> bool:
        return await self._write(lambda connection: sessions.delete(connection, user_id, session_id, at))

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        return await self._read(
            lambda connection: sessions.list_messages(connection, user_id, session_id, limit=limit, offset=offset)
        )

    # turns

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | None:
        deadline = self._deadline()
        opened = await self._reader().run(lambda connection: turns.open_turn(connection, opening), deadline=deadline)
        if opened is not None or (create := opening.create) is None:
            return opened
        return await self._the_writer().run(
            lambda connection: turns.open_or_create(connection, opening, create), deadline=deadline
        )

    async def close_turn(self, turn: ClosedTurn) -> int:
        return await self._write(lambda connection: turns.close_turn(connection, turn))

    async def list_ledger(self, user_id: str, *, limit: int, offset: int) -> Page[LedgerEntry]:
        return await self._read(lambda connection: turns.list_ledger(connection, user_id, limit=limit, offset=offset))

    # lanes

    async def _read(self, work: Work[T]) -> T:
        return await self._reader().run(work, deadline=self._deadline())

    async def _write(self, work: Work[T]) -> T:
        return await self._the_writer().run(work)

    def _reader(self) -> Lane:
        if not self._readers:
            raise StorageUnavailable
        return min(self._readers, key=_load)

    def _the_writer(self) -> Lane:
        if self._writer is None:
            raise StorageUnavailable
        return self._writer

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout


def _load(lane: Lane) -> int:
    return lane.load


def _ping(connection: sqlite3.Connection) -> None:
    connection.execute(QUERIES["ping"]).fetchone()
