"""What the commands share: standard error for people, exit codes, the settings, and a store for one command's use."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console

from gateway.errors import GatewayError
from gateway.ports import Store
from gateway.settings import Settings, SettingsError, load_settings
from gateway.storage.opening import configured_store
from gateway.telemetry.logs import configure_logging

T = TypeVar("T")

people = Console(stderr=True)

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings file; else $GATEWAY_CONFIG, else ./gateway.yaml.")
]


def read_settings(config: Path | None) -> Settings:
    """The settings, with the log set up as they say. Mistakes in them end the process with exit code 2."""
    with mistakes_reported():
        settings = load_settings(config)
    configure_logging(settings.logging)
    return settings


def with_store(settings: Settings, use: Callable[[Store], Awaitable[T]]) -> T:
    """What `use` makes of the settings' store, which is open so long, beside a running server's.

    Expected errors end the process with exit code 1, as does storage in memory: it has nothing that outlives a process.
    """

    async def run() -> T:
        store = configured_store(settings.storage, checkpoints=False)
        try:
            await store.start()
            return await use(store)
        finally:
            await store.aclose()

    if settings.storage.url == "memory:":
        fail(
            "storage.url is memory: it ends with its process, and no command can reach it. "
            "Ask the running server over HTTP."
        )
    with mistakes_reported():
        return asyncio.run(run())


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines whose columns are as wide as they must be: nothing is cut, for in a pipe there is no width to cut it to."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def printable(text: str) -> str:
    """Names of models are chosen by others: what would steer a terminal is spelt out."""
    return "".join([each if each.isprintable() else f"\\u{ord(each):04x}" for each in text])


@contextmanager
def mistakes_reported() -> Iterator[None]:
    """End the process with words instead of a traceback where the settings or the storage are at fault."""
    try:
        yield
    except SettingsError as exc:
        fail(str(exc), code=2)
    except GatewayError as exc:
        fail(exc.message)


def say(text: str) -> None:
    people.print(text, highlight=False, markup=False, soft_wrap=True)


def fail(text: str, *, code: int = 1) -> NoReturn:
    people.print(f"error: {text}", style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(code)
