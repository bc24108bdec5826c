"""The two ends of a copy. Each has an implementation a database; both raise StorageUnavailable."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from gateway.storage.copying.tables import Key, Row, Table

FETCHED = 250
"""Rows that are read at a time: the bounds of a batch are looked at between two such reads."""
_MOST_ROWS = 4000
_MOST_CHARACTERS = 16 * 1024 * 1024


class Source(Protocol):
    """Read only, and as it was at one moment: what is written to it meanwhile is not seen."""

    def batches(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        """All rows, in no particular order."""

    async def count(self, table: Table) -> int: ...

    async def leave_snapshot(self) -> None:
        """From now on `count` says what is there now. Nothing else may be asked any more."""


class Target(Protocol):
    async def find(self, table: Table, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """The rows under those of the keys that are there."""

    async def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Write, in one transaction, those rows that contradict none that is there.

        Sessions that gain rows are put into search_queue, so that a server indexes them.
        """


async def in_batches(table: Table, fetch: Callable[[], Awaitable[Sequence[Row]]]) -> AsyncGenerator[Sequence[Row]]:
    """What `fetch` gives until it gives nothing, in batches of a few thousand rows, fewer where rows are long."""
    batch: list[Row] = []
    characters = 0
    while rows := await fetch():
        batch.extend(rows)
        if table.long is not None:
            characters += sum(len(row[table.long]) for row in rows)
        if len(batch) >= _MOST_ROWS or characters >= _MOST_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
