"""`gateway db`: the database's schema, and copying from one database to another."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, TypeVar

import typer

from gateway.addresses import shown
from gateway.cli.console import Config, fail, mistakes_reported, read_settings, say
from gateway.cli.copying import copy
from gateway.settings import Settings
from gateway.storage import inspection
from gateway.storage.revisions import Dialect, ddl, known_revisions

T = TypeVar("T")

db_app = typer.Typer(help="Look after the database: its schema, and copies of it.", no_args_is_help=True)
db_app.command("copy")(copy)


@db_app.command("upgrade")
def upgrade(config: Config = None) -> None:
    """Create the tables, or bring them up to date. `gateway serve` does so by itself where it may."""
    settings = _settings(config)

    async def run(url: str) -> tuple[str | None, str | None]:
        before = await inspection.current_revision(url)
        await inspection.upgrade(url)
        return before, await inspection.current_revision(url)

    before, after = _on_database(settings, run)
    if before == after:
        say(f"{shown(settings.storage.url)} is at revision {after} already.")
    else:
        say(f"{shown(settings.storage.url)}: upgraded from {before or 'nothing'} to revision {after}.")


@db_app.command("current")
def current(config: Config = None) -> None:
    """Print the revision that the database is at, alone on standard output; nothing if it has no tables of ours."""
    settings = _settings(config)
    revision = _on_database(settings, inspection.current_revision)
    if revision is None:
        fail(f"{shown(settings.storage.url)} has no tables of the gateway's. Run `gateway db upgrade` on it.")
    typer.echo(revision)


@db_app.command("check")
def check(config: Config = None) -> None:
    """Say whether the gateway can work with the database, and if not, why and what to do. Changes nothing."""
    settings = _settings(config)
    problems = _on_database(settings, partial(inspection.check, probe=_probe(settings)))
    if problems:
        fail("\n".join(problems))
    say(f"{shown(settings.storage.url)} is at revision {known_revisions()[-1]}, and can be used.")


@db_app.command("sql")
def sql(
    dialect: Annotated[Dialect, typer.Option(help="For which database.")] = "postgresql",
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="REVISION", help="What `gateway db current` says; else from nothing."),
    ] = None,
) -> None:
    """Print the statements that `gateway db upgrade` would run, as one transaction, for an administrator to run."""
    known = known_revisions()
    if start is not None and start not in known:
        fail(f"There is no revision {start}: --from takes {', '.join(known)}.", code=2)
    typer.echo(f"BEGIN;\n\n{ddl(dialect, start=start).strip()}\n\nCOMMIT;")


def _probe(settings: Settings) -> inspection.Probe | None:
    """Looks at the host's tables, if sessions and messages are in those."""
    if settings.storage.schema_ == "own":
        return None
    from gateway.storage.postgres.external import problems  # noqa: PLC0415 - only the driver that is used

    return partial(problems, tables=settings.storage.tables)


def _settings(config: Config) -> Settings:
    settings = read_settings(config)
    if settings.storage.url == "memory:":
        fail("storage.url is memory: which has no schema and ends with its process.")
    return settings


def _on_database(settings: Settings, ask: Callable[[str], Awaitable[T]]) -> T:
    async def run() -> T:
        return await ask(settings.storage.url)

    with mistakes_reported():
        return asyncio.run(run())
