"""The `gateway` command. Results go to standard output alone, so that they can be piped; the rest to standard error."""

import asyncio
import math
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import socket
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvicorn
from rich.console import Console
from rich.panel import Panel

from gateway import __version__
from gateway.api.keys import key_output
from gateway.app import App, create_app, open_store
from gateway.auth.issuing import issue_key, revoke_key
from gateway.errors import GatewayError
from gateway.ports import Store
from gateway.settings import Settings, SettingsError, load_settings
from gateway.telemetry.logs import configure_logging
from gateway.wire.json import dump

T = TypeVar("T")

app = typer.Typer(
    name="gateway",
    help="An OpenAI-compatible LLM gateway that remembers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys_app = typer.Typer(help="Create, list and revoke API keys. Works while the server runs.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

people = Console(stderr=True)

_LAST_WORDS = 1.0
"""Seconds that answers to the turns that were cut short get to leave, after Ctrl-C was pressed twice."""

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings file; else $GATEWAY_CONFIG, else ./gateway.yaml.")
]


def main() -> None:
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version  # its callback has answered, before typer could miss a command


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port.", min=0, max=65535)] = None,
) -> None:
    """Serve the gateway until SIGTERM or Ctrl-C."""
    with _mistakes_reported():
        settings = load_settings(config)
        configure_logging(settings.logging)
        gateway = create_app(settings, announce=_announce)
    # uvicorn raises the signal that stopped it once more when it is done; by then everything is stored: exit with 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server = Server(
        gateway,
        uvicorn.Config(
            gateway,
            host=host or settings.server.host,
            port=settings.server.port if port is None else port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,  # longer than the 60 s of most load balancers, so that they are the ones to close
            timeout_graceful_shutdown=math.ceil(settings.server.shutdown_timeout) + 5,
        ),
    )
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise typer.Exit(3)


class Server(uvicorn.Server):
    """uvicorn, which lets running turns come to their end, or to an orderly stop, before it closes connections.

    Ctrl-C a second time says that nobody wants to wait for them: they are stopped, and stored as far as they came.
    """

    def __init__(self, gateway: App, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        draining = asyncio.create_task(self._gateway.drain())
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn returns at once then, with requests still running and without the lifespan's end.
            await self._gateway.cut_short()
            if requests := self.server_state.tasks:
                await asyncio.wait(requests, timeout=_LAST_WORDS)
            await self.lifespan.shutdown()
        await draining


@keys_app.command("create")
def create_key(
    user: Annotated[str, typer.Option(help="The key's user; created if new.")],
    admin: Annotated[bool, typer.Option("--admin", help="Let the key use /admin routes too.")] = False,
    name: Annotated[str | None, typer.Option(help="A name to tell keys apart.")] = None,
    expires_in: Annotated[str | None, typer.Option(help="Such as 90s, 15m, 12h, 30d or 4w.")] = None,
    config: Config = None,
) -> None:
    """Create an API key. It is printed this once, alone on standard output."""
    settings = _settings(config)

    async def create(store: Store) -> str:
        key, text = await issue_key(
            store,
            user_name=user,
            pepper=settings.auth.pepper_text,
            admin=admin,
            name=name,
            expires_in=expires_in,
        )
        people.print(f"Created {key.id} for {key.user.name}. It is not shown again.", highlight=False)
        return text

    typer.echo(_with_store(settings, create))


@keys_app.command("list")
def list_keys(
    user: Annotated[str | None, typer.Option(help="Only this user's keys.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """List keys, revoked and expired ones too; never the keys themselves."""
    keys = _with_store(_settings(config), lambda store: store.list_keys(user_name=user))
    rows = [key_output(key) for key in keys]
    if as_json:
        for row in rows:
            typer.echo(dump(row))
        return
    for line in _aligned([_HEADINGS, *map(_cells, rows)]):
        typer.echo(line)


@keys_app.command("revoke")
def revoke(
    id_or_key: Annotated[str, typer.Argument(help="The key's id (key_…), or the key itself.")],
    config: Config = None,
) -> None:
    """Revoke a key: it stops working everywhere within 5 seconds."""
    key = _with_store(_settings(config), lambda store: revoke_key(store, id_or_key))
    if key is None:
        _fail("There is no such key. `gateway keys list` shows the ids.")
    people.print(f"Revoked {key.id} of {key.user.name}.", highlight=False)


_HEADINGS = ("ID", "USER", "NAME", "SCOPES", "CREATED", "EXPIRES", "REVOKED")


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = [row["id"], row["user"], row["name"] or "-", " ".join(row["scopes"])]
    times = [row["created_at"], row["expires_at"], row["revoked_at"]]
    return [*cells, *[time[:19] + "Z" if time else "-" for time in times]]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines whose columns are as wide as they must be: nothing is cut, for in a pipe there is no width to cut it to."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _settings(config: Path | None) -> Settings:
    with _mistakes_reported():
        settings = load_settings(config)
    configure_logging(settings.logging)
    if settings.storage.url == "memory:":
        _fail("storage.url is memory: which is gone when its process ends. A running server's keys are at /admin/keys.")
    return settings


def _with_store(settings: Settings, use: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        store = open_store(settings, checkpoints=False)
        try:
            await store.start()
            return await use(store)
        finally:
            await store.aclose()

    with _mistakes_reported():
        return asyncio.run(run())


def _announce(keys: Mapping[str, str]) -> None:
    lines = [f"{name:<6} {key}" for name, key in keys.items()]
    people.print(
        Panel.fit("\n".join(lines), title="The first keys of this database, shown this once", border_style="green"),
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _mistakes_reported() -> Iterator[None]:
    try:
        yield
    except SettingsError as exc:
        _fail(str(exc), code=2)
    except GatewayError as exc:
        _fail(exc.message)


def _fail(text: str, *, code: int = 1) -> NoReturn:
    people.print(f"error: {text}", style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(code)
