"""uvicorn around the application, stopped in good order; in one process, or in several at one address."""

import asyncio
import gc
import math
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

import structlog
import uvicorn
from rich.panel import Panel

from gateway.app import App, create_app
from gateway.cli.console import fail, mistakes_reported, people
from gateway.cli.listening import join, reserve
from gateway.cli.servable import cautions, servable_models
from gateway.cli.workers import CANNOT_START, Lifeline, Workers
from gateway.settings import Settings
from gateway.tokens.encodings import get_encoding

log = structlog.stdlib.get_logger("gateway")

_LAST_WORDS = 1.0
"""Seconds that answers to the turns that were cut short get to leave, after Ctrl-C was pressed twice."""


def run_server(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C, in as many processes as `server.workers` says. Returns the exit code."""
    server = settings.server
    _load(settings)
    if server.workers == 1:
        return _serve(settings)
    try:
        addresses = reserve(server.host, server.port)
    except OSError as exc:
        fail(f"Nothing can be served on {server.host}, port {server.port}: {exc.strerror}.", code=CANNOT_START)
    log.info("listening", host=server.host, port=addresses[0].getsockname()[1], workers=server.workers)
    return Workers(server.workers, partial(_serve_beside_others, settings, addresses)).run()


def _load(settings: Settings) -> None:
    """Bring into memory what is large and stays, while there is one thread and, as yet, one process.

    A thread that loaded it would keep its part of the heap, 20 MB that nobody else can use.
    """
    models = servable_models(settings)
    for caution in cautions(settings, models):
        log.warning("caution", about=caution)
    try:
        for encoding in models.encodings:
            get_encoding(encoding)
    except RuntimeError as exc:  # a file that is missing or damaged
        fail(str(exc), code=CANNOT_START)
    gc.collect()
    gc.freeze()  # or each full collection would go through 95,000 objects that stay: nobody is served for 60 ms
    gc.set_threshold(50_000, 20, 100)  # a turn leaves few cycles: looked for after every 700 objects, they cost 15 %


def _serve(settings: Settings) -> int:
    """Serve in this process alone. Returns its exit code."""
    gateway = _compose(settings)
    return _run(Server(gateway, _uvicorn_config(gateway, settings)))


def _serve_beside_others(settings: Settings, addresses: Sequence[socket.socket], lifeline: Lifeline) -> int:
    """Serve as one of several workers. Returns its exit code."""
    gateway = _compose(settings)
    return _run(Worker(gateway, _uvicorn_config(gateway, settings), lifeline), join(addresses))


def _compose(settings: Settings) -> App:
    with mistakes_reported():
        return create_app(settings, announce=_announce)


def _run(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> int:
    # uvicorn raises the signal that stopped it once more when it is done; by then everything is stored: exit with 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        server.run(sockets)
    return 0 if server.started else CANNOT_START


def _uvicorn_config(gateway: App, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        gateway,
        host=settings.server.host,
        port=settings.server.port,
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
    )


class Server(uvicorn.Server):
    """uvicorn, which lets running turns come to their end, or to an orderly stop, before it closes connections.

    Ctrl-C a second time says that nobody wants to wait for them: they are stopped, and stored as far as they came.
    """

    def __init__(self, gateway: App, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining = asyncio.create_task(self._gateway.drain())
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn returns at once then, with requests still running and without the lifespan's end.
            await self._gateway.cut_short()
            if requests := self.server_state.tasks:
                await asyncio.wait(requests, timeout=_LAST_WORDS)
            await self.lifespan.shutdown()
        await draining


class Worker(Server):
    """One of several, which stops when its parent closes the lifeline, or ends."""

    def __init__(self, gateway: App, config: uvicorn.Config, lifeline: Lifeline) -> None:
        super().__init__(gateway, config)
        self._lifeline = lifeline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().add_reader(self._lifeline.parent, self._stop)
        await super().startup(sockets)
        self._lifeline.ready.send_bytes(b"ready")

    def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._lifeline.parent)
        self.should_exit = True


def _announce(keys: Mapping[str, str]) -> None:
    lines = [f"{name:<6} {key}" for name, key in keys.items()]
    people.print(
        Panel.fit("\n".join(lines), title="The first keys of this database, shown this once", border_style="green"),
        highlight=False,
        soft_wrap=True,
    )
