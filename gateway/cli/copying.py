"""`gateway db copy`: one database into another, with a progress bar for people and a summary at the end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from gateway.addresses import shown
from gateway.cli.console import aligned, fail, mistakes_reported, people, say
from gateway.settings import StorageSettings
from gateway.storage.copying import Copied, CopiedTable, Watch, copy_database

_URL = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"


def copy(
    source: Annotated[str, typer.Option("--from", metavar="URL", help=f"The database to read: {_URL}.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="The database to write, named likewise.")],
) -> None:
    """Copy users, keys, sessions, messages, the ledger and the audit log, and verify the copy.

    Nobody should write to the source meanwhile, nor use the target. It may be stopped at any moment and run again:
    only what is missing is written, and no row of the target is ever changed. Exits with 0 if all is there and equal.
    """
    _check_url("--from", source)
    _check_url("--to", target)
    say(f"Copying {shown(source)} to {shown(target)}. Nobody should write to the first, or use the second, meanwhile.")
    try:
        with mistakes_reported(), _progress() as watch:
            copied = asyncio.run(copy_database(source, target, watch=watch))
    except KeyboardInterrupt:
        fail("Interrupted. Run it again to go on.", code=130)
    _report(copied)


def _check_url(option: str, url: str) -> None:
    try:
        is_database = StorageSettings(url=url).url != "memory:"
    except ValidationError:
        is_database = False
    if not is_database:
        fail(
            f"{option} must be {_URL}. Percent-encode what a URL cannot hold in a password, such as / ? # [ ] @.",
            code=2,
        )


@contextmanager
def _progress() -> Iterator[Watch]:
    """A line a step, such as "copying messages". Without a terminal only the finished lines are shown."""
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TextColumn("{task.completed:,} of {task.total:,}"),
        _Speed(),
        TimeElapsedColumn(),
    )
    steps: dict[str, TaskID] = {}
    with Progress(*columns, console=people) as progress:

        def watch(doing: str, done: int, total: int) -> None:
            if doing not in steps:
                steps[doing] = progress.add_task(doing, total=total)
            progress.update(steps[doing], completed=done)

        yield watch


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} rows/s" if speed else "")


def _report(copied: Copied) -> None:
    for line in aligned([_HEADINGS, *map(_cells, copied.tables)]):
        say(line)
    if copied.changes:
        changed = ", ".join(f"{name} by {change:+,}" for name, change in copied.changes.items())
        say(f"warning: the source was written to meanwhile ({changed} rows). Stop who does, and run it again.")
    if not copied.is_whole:
        fail("\n".join([*map(_conflict, copied.tables), "The copy is not complete."]).strip())
    added = sum(table.added for table in copied.tables)
    say(f"Verified: every row of the source is in the target, as it is in the source. Rows added: {added:,}.")


_HEADINGS = ("TABLE", "ROWS", "ADDED", "SHA-256 OF SOURCE", "OF TARGET")


def _cells(table: CopiedTable) -> list[str]:
    return [table.name, f"{table.rows:,}", f"{table.added:,}", *[checksum[:16] for checksum in table.checksums]]


def _conflict(table: CopiedTable) -> str:
    if table.is_whole:
        return ""
    keys = ", ".join("/".join(map(str, key)) for key in table.keys)
    said = [
        f"{table.differing:,} rows of {table.name} have another row under their key in the target"
        * bool(table.differing),
        f"{table.refused:,} rows of {table.name} contradict another row of the target" * bool(table.refused),
    ]
    return f"{'; '.join(filter(None, said))}: {keys}. The target's were left as they are."
