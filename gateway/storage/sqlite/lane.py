"""One held connection and its thread; work for it waits in line and is run in batches.

Invariant: the thread has at most one batch at a time, and every waiter gets exactly one outcome, whatever happens to
the others. While the thread is busy work gathers, and goes over as the next batch in a single hop: under load a
writer's COMMIT, and its fsync, is shared by all who came in the meantime; without load nobody waits for company.

A work that has not begun when its waiter is cancelled or its deadline passes is never run; those that are run together
begin with their batch. One that has begun is brought to its end, and its outcome is thrown away.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aiosqlite import Connection as Driver
from databases import Database
from databases.core import Connection as HeldConnection

from gateway.errors import StorageUnavailable
from gateway.storage.errors import ConstraintViolated
from gateway.storage.sqlite.batches import BUGS, Apart, Batch, Failed, Outcome, Together, Work

T = TypeVar("T")


class Lane:
    """Open with `Lane.open`, and use from one event loop."""

    def __init__(self, held: HeldConnection, batch: Batch) -> None:
        self._held = held
        self._driver: Driver = held.raw_connection
        self._run_batch = batch
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._running: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._idle: asyncio.Future[None] | None = None
        self._closed = False

    @classmethod
    async def open(cls, url: str, *, pragmas: Sequence[str], batch: Batch, busy_timeout: float) -> "Lane":
        """Connect and set the connection up. `busy_timeout`: seconds to wait for a lock of another connection.

        Raises StorageUnavailable.
        """
        # A Database of its own, because Database.connection() hands out one connection per task, not one per call.
        held = Database(url, timeout=busy_timeout).connection()
        try:
            await held.__aenter__()
            try:
                for pragma in pragmas:
                    await held.raw_connection.execute_fetchall(pragma)
            except BaseException:
                await held.__aexit__()
                raise
        except sqlite3.Error as exc:
            raise StorageUnavailable from exc
        return cls(held, batch)

    @property
    def load(self) -> int:
        """How many works wait or run."""
        return len(self._waiting) + len(self._running)

    async def run(self, work: Work[T], *, deadline: float | None = None) -> T:
        """The result of `work`, run on the connection's thread within a transaction that has ended.

        `deadline`, on the loop's clock, is when to stop waiting for a database that does not answer. Raises
        StorageUnavailable, ConstraintViolated, or whatever `work` raises on its own account.
        """
        if self._closed:
            raise StorageUnavailable
        outcome = self._loop.create_future()
        self._waiting.append((work, outcome))
        if not self._running and len(self._waiting) == 1:
            # Not at once: what this pass of the loop still brings comes along, and shares a commit.
            self._loop.call_soon(self._start_batch)
        timer = None if deadline is None else self._loop.call_at(deadline, _expire, outcome)
        try:
            return await outcome  # type: ignore[no-any-return]  # a work's T: the future was made for it
        except sqlite3.IntegrityError as exc:
            raise ConstraintViolated(str(exc)) from exc
        except BUGS:
            raise
        except sqlite3.Error as exc:
            raise StorageUnavailable from exc
        finally:
            if timer is not None:
                timer.cancel()

    async def aclose(self) -> None:
        """Refuse new work, finish what waits, and close the connection."""
        self._closed = True
        if self._running or self._waiting:
            self._idle = self._loop.create_future()
            await self._idle
        await self._held.__aexit__()

    def _start_batch(self) -> None:
        self._running = [waiter for waiter in self._waiting if not waiter[1].done()]
        self._waiting.clear()
        if self._running:
            _hop(self._driver, self._work_off)
        elif self._idle is not None:
            self._idle.set_result(None)

    def _work_off(self) -> None:
        """Runs in the connection's thread. `_running` is not touched by the loop meanwhile."""
        works = [_while_wanted(work, waiter) for work, waiter in self._running]
        try:
            outcomes = self._run_batch(_sqlite3(self._driver), works)
        except Exception as exc:  # noqa: BLE001 - it would end in this thread, and the waiters would wait for ever
            outcomes = [Failed(exc)] * len(works)
        self._loop.call_soon_threadsafe(self._deliver, outcomes)

    def _deliver(self, outcomes: list[Outcome]) -> None:
        delivered = self._running
        self._start_batch()  # first of all: the thread need not be idle while results are handed out
        for (_, waiter), outcome in zip(delivered, outcomes, strict=True):
            if waiter.done():
                continue
            if isinstance(outcome, Failed):
                waiter.set_exception(outcome.error)
            else:
                waiter.set_result(outcome)


def _while_wanted(work: Work[Any], waiter: asyncio.Future[Any]) -> Work[Any]:
    """Works before this one in its batch may take longer than its waiter has patience for: then it is not run."""
    if isinstance(work, Apart):
        return work
    if isinstance(work, Together) and not waiter.done():
        return work  # done with all the others of its kind, or else left out here
    return lambda connection: None if waiter.done() else work(connection)


def _expire(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(StorageUnavailable())


# aiosqlite runs one statement a hop, and has no public way to run several in one. `_execute` would, but it is a
# coroutine, and a task to await it would cost more than the hop. What it does is what _hop does: put a function into
# the thread's queue. Without a future, as `Connection.stop` does where there is no loop: ours are set in _deliver.
# The function is a bare method and takes no arguments, because at level DEBUG aiosqlite logs its repr.


def _hop(driver: Driver, function: Callable[[], None]) -> None:
    driver._tx.put_nowait((None, function))  # noqa: SLF001


def _sqlite3(driver: Driver) -> sqlite3.Connection:
    return driver._conn  # noqa: SLF001
