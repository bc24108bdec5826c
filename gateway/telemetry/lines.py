"""Standard error, line by line: what a server says in passing is gathered, and written several lines at a time.

A write is a system call, which lets go of the interpreter's lock, and a busy server says thousands of lines a second.

Invariant: lines leave whole, in the order in which they came, and at the end of the event loop's present pass at the
latest. Only lines below a warning wait, and only in a thread whose loop runs; a warning is written at once, after all
that wait. They are written too before the process forks and when the interpreter ends. A process that is killed loses
those of its last pass.
"""

import asyncio
import atexit
import os
import select
from threading import RLock
from typing import BinaryIO


class Lines:
    """What structlog's loggers hand their lines to, and a text stream for the standard library's handlers."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.lock = RLock()  # the garbage collector may run anywhere, and what it finds may have something to say
        """Of whoever writes. Handlers use it, too: two locks, taken in either order, could wait for each other."""
        self._waiting = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that has been asked to write what waits."""
        atexit.register(self.flush)
        os.register_at_fork(before=self.flush)  # or the child would write it too

    def soon(self, line: bytes) -> None:
        """Write a line, which comes without its end, with others of this pass of the loop; at once without a loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.now(line)
            return
        with self.lock:
            # Workers share one pipe, which keeps apart what each writes at a time only up to so many bytes.
            if len(self._waiting) + len(line) >= select.PIPE_BUF:
                self._write()
            self._waiting += line + b"\n"
            if self._loop is not loop:
                self._loop = loop
                loop.call_soon(self.flush)

    def now(self, line: bytes) -> None:
        """Write a line, which comes without its end, after all that wait."""
        with self.lock:
            self._write()
            self._put(line + b"\n")

    debug = info = soon
    warning = error = critical = now

    def write(self, text: str) -> None:
        """Write whole lines after all that wait."""
        with self.lock:
            self._write()
            self._put(text.encode())

    def flush(self) -> None:
        """Write all that wait."""
        with self.lock:
            self._loop = None
            self._write()

    def _write(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            self._put(waiting)

    def _put(self, data: bytes | bytearray) -> None:
        self._file.write(data)
        self._file.flush()
