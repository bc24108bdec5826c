"""uvicorn around the application, stopped in good order."""

import asyncio
import math
import signal
from collections.abc import Mapping
from contextlib import suppress
from socket import socket

import uvicorn
from rich.panel import Panel

from gateway.app import App, create_app
from gateway.cli.console import mistakes_reported, people
from gateway.settings import Settings

_LAST_WORDS = 1.0
"""Seconds that answers to the turns that were cut short get to leave, after Ctrl-C was pressed twice."""


def run_server(settings: Settings, *, host: str, port: int) -> bool:
    """Serve until SIGTERM or Ctrl-C. False if it could not start."""
    with mistakes_reported():
        gateway = create_app(settings, announce=_announce)
    # uvicorn raises the signal that stopped it once more when it is done; by then everything is stored: exit with 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server = Server(
        gateway,
        uvicorn.Config(
            gateway,
            host=host,
            port=port,
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
    return server.started


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


def _announce(keys: Mapping[str, str]) -> None:
    lines = [f"{name:<6} {key}" for name, key in keys.items()]
    people.print(
        Panel.fit("\n".join(lines), title="The first keys of this database, shown this once", border_style="green"),
        highlight=False,
        soft_wrap=True,
    )
