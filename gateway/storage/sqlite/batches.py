"""How a batch of works is run on a connection, in the connection's thread.

Invariant: every work of a batch gets an outcome, and a write's outcome is a success only after its COMMIT.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")

BUGS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError, sqlite3.NotSupportedError)
"""Errors of ours and not of the database: they are raised as they are, with their traceback."""

Work = Callable[[sqlite3.Connection], T]
"""Several statements that belong together. May be run a second time, if the first was rolled back."""


class Apart(Generic[T]):
    """A work of the writer's that needs its connection outside of any transaction."""

    def __init__(self, work: Work[T]) -> None:
        self._work = work

    def __call__(self, connection: sqlite3.Connection) -> T:
        return self._work(connection)


class Together(Generic[T]):
    """A work that can be done together with others of its kind, by fewer statements than if each did its own.

    `run` is what does several at once, and says what kind it is: it is given the items, and returns a result for each.
    """

    def __init__(self, run: Callable[[sqlite3.Connection, Sequence[Any]], Sequence[T]], item: object) -> None:
        self.run = run
        self.item = item

    def __call__(self, connection: sqlite3.Connection) -> T:
        [result] = self.run(connection, (self.item,))
        return result


class Failed:
    """The outcome of a work that raised."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


Outcome = Any
"""What a work returned, or Failed."""

Batch = Callable[[sqlite3.Connection, Sequence[Work[Any]]], list[Outcome]]
"""Runs works, and returns their outcomes in order. Raises only if none of them was done."""


def read_batch(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[Outcome]:
    """Run works on one snapshot of the database."""
    connection.execute("BEGIN")
    try:
        return [_attempt(work, connection) for work in works]
    finally:
        connection.commit()


def write_batch(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[Outcome]:
    """Run works in one transaction: one fsync for all of them. If one raises, run each in a transaction of its own.

    BEGIN IMMEDIATE, because a transaction that begins by reading and then writes is refused without waiting if another
    process wrote in between. A batch with an Apart in it is no group: each of its works is run by itself.
    """
    if any(isinstance(work, Apart) for work in works):
        return [_write_alone(connection, work) for work in works]
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = _run_together(connection, works)
        connection.commit()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it belongs to the one who asked, and to nobody else
        connection.rollback()
        if len(works) == 1:
            return [Failed(exc)]
    else:
        return outcomes
    return [_write_alone(connection, work) for work in works]


def _run_together(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[Outcome]:
    outcomes: list[Outcome] = [None] * len(works)
    kinds: dict[Callable[..., Any], dict[int, Any]] = {}
    for place, work in enumerate(works):
        if isinstance(work, Together):
            kinds.setdefault(work.run, {})[place] = work.item
        else:
            outcomes[place] = work(connection)
    for run, items in kinds.items():
        for place, result in zip(items, run(connection, tuple(items.values())), strict=True):
            outcomes[place] = result
    return outcomes


def _write_alone(connection: sqlite3.Connection, work: Work[Any]) -> Outcome:
    if isinstance(work, Apart):
        return _attempt(work, connection)
    try:
        return write_batch(connection, (work,))[0]
    except sqlite3.Error as exc:
        return Failed(exc)


def _attempt(work: Work[Any], connection: sqlite3.Connection) -> Outcome:
    try:
        return work(connection)
    except Exception as exc:  # noqa: BLE001 - as above
        return Failed(exc)
