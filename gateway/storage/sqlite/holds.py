"""Which turn holds which session, and which process writes or looks after the database: locks on a file beside it.

They are the operating system's, not rows: an fsync for each opening would halve the throughput, and a lock ends with
its process, however that ends, so that there is no lease to renew and nothing to tidy up. What little is written into
the file is presence.py's.

Invariant: the byte of a session is locked exactly while one hold of this process is on record for it, and the record,
not the lock, keeps turns of this process apart: a process's own locks never stand in its way.

On Linux a lock belongs to the file as it was opened here, so that two stores of one process exclude each other as two
processes do. Elsewhere it belongs to the process: there, open one store on a database in each.
"""

import fcntl
import os
import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from enum import Enum, auto
from hashlib import blake2b
from pathlib import Path

from gateway.errors import StorageUnavailable
from gateway.storage.sqlite.presence import Presence

_KEEPERS_BYTE = 0
_FIRST_SESSIONS_BYTE = 1
_WRITERS_BYTE = _FIRST_SESSIONS_BYTE + 2**56  # after those of the sessions

_PRESENCE_BYTE = _WRITERS_BYTE + 1

_WRITERS_PAUSE = 0.0005
"""Seconds between two attempts to get the writer's turn: about as long as a commit takes."""

if hasattr(fcntl, "F_OFD_SETLK"):

    def _lock(file: int, kind: int, byte: int) -> None:
        """Raises BlockingIOError if another one has it."""
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))

else:

    def _lock(file: int, kind: int, byte: int) -> None:
        """Raises BlockingIOError if another process has it."""
        command = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.lockf(file, command, 1, byte)


class Taking(Enum):
    """What came of asking for a session."""

    TAKEN = auto()
    KEPT = auto()  # this hold had it already
    REFUSED = auto()


class Holds:
    """The locks of one store. Every method returns at once, after about a microsecond."""

    def __init__(self, database: Path) -> None:
        self._file = os.open(f"{database}-locks", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self.presence = Presence(self._file, _PRESENCE_BYTE)
        except OSError:
            os.close(self._file)
            raise
        self._holders: dict[int, str] = {}
        self._bytes: dict[str, int] = {}

    def take(self, hold_id: str, user_id: str, session_id: str) -> Taking:
        """Take a session, which need not exist, for a turn. Raises StorageUnavailable if the system has no more locks.

        The user is part of what is locked: nobody stands in the way of others by asking for their sessions.
        """
        byte = _byte_of(user_id, session_id)
        if byte in self._holders:
            return Taking.KEPT if self._holders[byte] == hold_id else Taking.REFUSED
        if not self._lock_byte(byte):
            return Taking.REFUSED
        self._holders[byte] = hold_id
        self._bytes[hold_id] = byte
        return Taking.TAKEN

    def let_go(self, hold_id: str) -> None:
        """Harmless if it holds nothing."""
        byte = self._bytes.pop(hold_id, None)
        if byte is not None:
            del self._holders[byte]
            _lock(self._file, fcntl.F_UNLCK, byte)

    @contextmanager
    def keeping(self, sessions: Sequence[tuple[str, str]]) -> Iterator[AbstractSet[tuple[str, str]]]:
        """Those of these sessions, by user and session, that no turn holds; and none will until the end."""
        free = {session for session in sessions if self.take("\0".join(session), *session) is not Taking.REFUSED}
        try:
            yield free
        finally:
            for session in free:
                self.let_go("\0".join(session))

    def forget(self, user_id: str, session_id: str) -> None:
        """The session is gone, and whoever of this process held it holds nothing."""
        self.let_go(self._holders.get(_byte_of(user_id, session_id), ""))

    def become_keeper(self) -> bool:
        """Whether this process is the one that looks after the database, from now on until it ends."""
        return self._lock_byte(_KEEPERS_BYTE)

    @contextmanager
    def turn_to_write(self, patience: float) -> Iterator[None]:
        """Entered when no other process writes; it waits on the writer's thread, for `patience` seconds at most.

        SQLite's own waiting takes ever longer pauses, and whoever comes fresh goes first: of two processes that write
        all the time one would wait for a tenth of a second again and again. Raises sqlite3.OperationalError.
        """
        give_up = time.monotonic() + patience
        while not self._lock_byte(_WRITERS_BYTE):
            if time.monotonic() >= give_up:
                raise sqlite3.OperationalError("another process has been writing all the time")
            time.sleep(_WRITERS_PAUSE)
        try:
            yield
        finally:
            _lock(self._file, fcntl.F_UNLCK, _WRITERS_BYTE)

    def close(self) -> None:
        """Let go of everything."""
        self._holders.clear()
        self._bytes.clear()
        self.presence.close()
        os.close(self._file)

    def _lock_byte(self, byte: int) -> bool:
        try:
            _lock(self._file, fcntl.F_WRLCK, byte)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as exc:
            raise StorageUnavailable(f"A session cannot be locked: {exc}") from exc
        return True


def _byte_of(user_id: str, session_id: str) -> int:
    """One of 2^56, after the keeper's. Should two sessions ever share one, their turns wait for each other."""
    name = f"{user_id}\0{session_id}".encode(errors="surrogatepass")
    return _FIRST_SESSIONS_BYTE + int.from_bytes(blake2b(name, digest_size=7).digest())
