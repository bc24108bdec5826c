"""Whether anybody else has the database open: as long as nobody has, what this process wrote last is what is stored.

Whoever opens the database locks a byte of the file of locks, shared with all others, and only then writes a random mark
into the file. Who finds its own mark there, and found nobody else's lock after writing it, is alone: whoever has come
since has written another one. Looking is reading memory, for the file is mapped.

Invariant: from before a process can read or write the database until its last connection is closed, nobody else takes
itself to be alone. Programs that know nothing of this, such as SQLite's own shell, are not seen.
"""

import fcntl
import mmap
import os
import struct

_MARK_BYTES = 8

_LOCK = "hhqqi4x"
"""struct flock of 64-bit Linux: type, whence, start, length, process."""


class Presence:
    """Of one store, by its open file of locks. `byte` is what all lock. Raises OSError if it cannot be locked."""

    def __init__(self, file: int, byte: int) -> None:
        self._file = file
        self._byte = byte
        self._mark: bytes | None = None
        self._page: mmap.mmap | None = None
        if hasattr(fcntl, "F_OFD_GETLK"):  # elsewhere a process cannot see its own other stores: nobody is ever alone
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, self._lock(fcntl.F_RDLCK))
            if os.fstat(file).st_size < _MARK_BYTES:
                os.pwrite(file, bytes(_MARK_BYTES), 0)  # on a full disk this fails; writing to a hole would kill us
            self._page = mmap.mmap(file, _MARK_BYTES)
            self.look()

    @property
    def is_alone(self) -> bool:
        """Never wrongly true. Costs nothing."""
        return self._page is not None and self._page[:] == self._mark

    def look(self) -> None:
        """Find out whether the others have left. Whatever was known before may have been changed by them."""
        if self._page is not None:
            mark = os.urandom(_MARK_BYTES)
            self._page[:] = mark
            self._mark = None if self._has_company() else mark

    def close(self) -> None:
        """The lock ends with the file."""
        if self._page is not None:
            self._page.close()
            self._page = None

    def _has_company(self) -> bool:
        found = fcntl.fcntl(self._file, fcntl.F_OFD_GETLK, self._lock(fcntl.F_WRLCK))
        return bool(struct.unpack(_LOCK, found)[0] != fcntl.F_UNLCK)

    def _lock(self, kind: int) -> bytes:
        return struct.pack(_LOCK, kind, os.SEEK_SET, self._byte, 1, 0)
