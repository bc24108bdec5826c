"""The copy: table by table, batch by batch, and read back."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from gateway.addresses import shown
from gateway.errors import StorageUnavailable
from gateway.ids import new_audit_id
from gateway.storage.copying.comparison import Comparison
from gateway.storage.copying.ends import Source, Target
from gateway.storage.copying.tables import AUDIT_LOG, TABLES, Key, Table
from gateway.storage.inspection import current_revision, schema_problem, upgrade
from gateway.storage.schema import database_path
from gateway.storage.sqlite.rows import from_time

Watch = Callable[[str, int, int], None]
"""Told after every batch: what is done, such as "verifying messages", with how many rows so far, and of how many."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """What became of one table."""

    name: str
    rows: int
    """In the source."""
    added: int
    """To the target, by this run."""
    differing: int
    """Rows whose key is another row's in the target, which was left as it is."""
    refused: int
    """Rows that contradict another row of the target, such as one of the same user's name."""
    keys: Sequence[Key]
    """The first few of both."""
    checksums: tuple[str, str]
    """SHA-256 of the source's rows, and of the target's rows under the same keys."""

    @property
    def is_whole(self) -> bool:
        """Whether every row of the source is in the target, as it is in the source."""
        ours, theirs = self.checksums
        return ours == theirs


@dataclass(frozen=True, slots=True)
class Copied:
    tables: Sequence[CopiedTable]
    """Ends early with a table that is not whole, if others refer to it."""
    changes: Mapping[str, int]
    """By how many rows the source's tables have grown or shrunk meanwhile; those that have not are left out."""

    @property
    def is_whole(self) -> bool:
        return len(self.tables) == len(TABLES) and all(table.is_whole for table in self.tables)


async def copy_database(source_url: str, target_url: str, *, watch: Watch) -> Copied:
    """Copy what the target lacks, and compare all of it. The target's schema is brought up to date first.

    Raises StorageUnavailable if one of the two cannot be used, or both are the same. Conflicts are in the result.
    """
    _refuse_same_file(source_url, target_url)
    if (path := _file(source_url)) and not path.exists():
        raise StorageUnavailable(f"There is no file {path} to copy from.")
    if problem := schema_problem(source_url, await current_revision(source_url)):
        raise StorageUnavailable(problem)
    async with _open_source(source_url) as source:
        counts = {table: await source.count(table) for table in TABLES}
        await upgrade(target_url)
        async with _open_target(target_url) as target:
            copied = [table async for table in _copy_tables(source, target, counts, watch)]
            await _audit(target, copied)
        await source.leave_snapshot()
        changes = {table.name: await source.count(table) - count for table, count in counts.items()}
    return Copied(copied, {name: change for name, change in changes.items() if change})


async def _copy_tables(
    source: Source, target: Target, counts: Mapping[Table, int], watch: Watch
) -> AsyncIterator[CopiedTable]:
    for table, count in counts.items():
        written = await _go_through(table, source, target, count, watch, write=True)
        if written.missing:
            verified = await _go_through(table, source, target, count, watch, write=False)
        else:
            verified = written  # nothing was added: it has been compared already
        yield (
            copied := CopiedTable(
                table.name,
                rows=count,
                added=written.missing - verified.missing,
                differing=verified.differing,
                refused=verified.missing,
                keys=verified.keys,
                checksums=verified.checksums,
            )
        )
        if table.is_referred_to and not copied.is_whole:
            return


async def _go_through(
    table: Table, source: Source, target: Target, count: int, watch: Watch, *, write: bool
) -> Comparison:
    """Compare all rows of the source with the target's; with `write`, add those that it lacks."""
    doing = f"{'copying' if write else 'verifying'} {table.name}"
    comparison = Comparison(table)
    done = 0
    watch(doing, done, count)
    async with aclosing(source.batches(table)) as batches:
        async for batch in batches:
            missing = comparison.add(batch, await target.find(table, [table.key(row) for row in batch]))
            if write and missing:
                await target.insert(table, missing)
            done += len(batch)
            watch(doing, done, count)
    return comparison


async def _audit(target: Target, copied: Sequence[CopiedTable]) -> None:
    """One entry for all that this run has added; none if that is nothing."""
    added = {table.name: table.added for table in copied if table.added}
    if added:
        now = from_time(datetime.now(UTC))
        details = orjson.dumps({"rows": added}).decode()
        await target.insert(AUDIT_LOG, [(new_audit_id(), now, "data.copy", None, None, None, None, details)])


def _refuse_same_file(source_url: str, target_url: str) -> None:
    """PostgreSQL says it by a lock, whatever the URLs: see postgres.py."""
    source, target = _file(source_url), _file(target_url)
    if source and target and source.resolve() == target.resolve():
        raise StorageUnavailable(f"{shown(source_url)} and {shown(target_url)} are the same database.")


def _file(url: str) -> Path | None:
    return database_path(url) if url.startswith("sqlite:") else None


def _open_source(url: str) -> AbstractAsyncContextManager[Source]:
    if path := _file(url):
        from gateway.storage.copying.sqlite import sqlite_source  # noqa: PLC0415 - only the driver that is used

        return sqlite_source(path)
    from gateway.storage.copying.postgres import postgres_source  # noqa: PLC0415

    return postgres_source(url)


def _open_target(url: str) -> AbstractAsyncContextManager[Target]:
    if path := _file(url):
        from gateway.storage.copying.sqlite import sqlite_target  # noqa: PLC0415 - only the driver that is used

        return sqlite_target(path)
    from gateway.storage.copying.postgres import postgres_target  # noqa: PLC0415

    return postgres_target(url)
