"""Several processes that serve at one address, and the parent that starts another one for each that dies.

The parent loads what all need and starts nothing: no thread, no event loop, no connection. So it can be forked at any
time, and what it has loaded is in memory once. The first worker starts alone: it applies migrations, makes the first
keys, and says what is wrong if nothing can be served; the others follow when it serves.

Invariant: a worker runs as long as its parent holds its end of the lifeline, a pipe, and stops in good order when that
is closed: by a parent that is told to stop as by one that was killed. A signal to a worker that is just being started
could get lost; the end of a pipe cannot.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import structlog

from gateway.telemetry.sharing import forget_process

log = structlog.stdlib.get_logger("gateway")

CANNOT_START = 3
"""The exit code of a server that could not start; uvicorn's."""

_SHORT_LIFE = 10.0
"""Seconds: a worker that ends sooner is not replaced at once, but after a pause, which grows from one to the next."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Lifeline(NamedTuple):
    """What ties a worker to its parent."""

    parent: Connection
    """Readable as soon as the worker is to stop."""
    ready: Connection
    """Is sent something when the worker serves."""


Serve = Callable[[Lifeline], int]
"""What a worker does: serves until it is to stop. Returns its exit code."""


class Workers:
    """`count` processes that each run `serve`."""

    def __init__(self, count: int, serve: Serve) -> None:
        self._count = count
        self._serve = serve
        self._parent, self._lifeline = Pipe(duplex=False)
        self._serving, self._ready = Pipe(duplex=False)
        self._has_served = False
        self._is_stopping = False
        self._living: dict[BaseProcess, float] = {}
        self._short_lives = 0
        self._not_before = 0.0
        self._exit_code = 0

    def run(self) -> int:
        """Until SIGTERM or Ctrl-C. Returns the exit code: 0, or that of the first worker if it could not start."""
        with _signals() as signals:
            try:
                while self._living or not self._is_stopping:
                    pause = self._fill_up()
                    happened = wait([signals, self._serving, *(process.sentinel for process in self._living)], pause)
                    self._look_after(happened)
                    if signals in happened:
                        self._obey(signals.recv(1)[0])
            finally:
                self._stop()  # the interpreter waits for them before it ends
        return self._exit_code

    @property
    def _wanted(self) -> int:
        if self._is_stopping:
            return 0
        return self._count if self._has_served else 1

    def _fill_up(self) -> float | None:
        """Start the workers that are missing. Returns the seconds to wait before that, if it is not to be done yet."""
        missing = self._wanted - len(self._living)
        pause = self._not_before - time.monotonic()
        if missing > 0 and pause > 0:
            return pause
        for _ in range(missing):
            process = get_context("fork").Process(target=self._work)
            try:
                process.start()
            except OSError as exc:  # no memory, or no more processes: those that live go on
                if not self._has_served:
                    raise
                return self._put_off("worker not started", error=str(exc))
            self._living[process] = time.monotonic()
        return None

    def _look_after(self, happened: Sequence[object]) -> None:
        while self._serving.poll():
            self._serving.recv_bytes()
            self._has_served = True
        for process in [process for process in self._living if process.sentinel in happened]:
            process.join()
            forget_process(process.pid or 0)
            lived = time.monotonic() - self._living.pop(process)
            if not self._has_served:
                code = process.exitcode or 0
                self._exit_code = code if code >= 0 else CANNOT_START  # less than 0: a signal's number
                self._stop()
            elif not self._is_stopping:
                self._replace(process, lived)

    def _replace(self, process: BaseProcess, lived: float) -> None:
        if lived >= _SHORT_LIFE:
            self._short_lives = -1
        self._put_off("worker ended", worker=process.pid, exit_code=process.exitcode)

    def _put_off(self, event: str, **facts: object) -> float:
        """Start the next worker only after a pause, whose seconds are returned."""
        self._short_lives += 1
        pause = pause_after(self._short_lives)
        self._not_before = time.monotonic() + pause
        log.error(event, **facts, replaced_after_s=pause)
        return pause

    def _obey(self, number: int) -> None:
        """The first signal stops all in good order. Ctrl-C after that is passed on: nobody wants to wait any longer."""
        if not self._is_stopping:
            self._stop()
        elif number == signal.SIGINT:
            for process in self._living:
                os.kill(process.ident or 0, number)

    def _stop(self) -> None:
        self._is_stopping = True
        self._lifeline.close()

    def _work(self) -> None:
        """A worker, from its beginning to its end."""
        signal.set_wakeup_fd(-1)  # it is the parent's
        os.setpgid(0, 0)  # so that a terminal's Ctrl-C reaches the parent alone, which passes on what it means
        self._lifeline.close()
        sys.exit(self._serve(Lifeline(self._parent, self._ready)))


def pause_after(short_lives: int) -> float:
    """Seconds before another worker is started, when so many in a row have died young."""
    return min(_FIRST_PAUSE * 2 ** (short_lives - 1), _LONGEST_PAUSE) if short_lives else 0.0


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket from which the numbers of the signals that ask to stop can be read, a byte each."""
    ours, pythons = socket.socketpair()
    with ours, pythons:
        pythons.setblocking(False)
        signal.set_wakeup_fd(pythons.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        yield ours
        signal.set_wakeup_fd(-1)
