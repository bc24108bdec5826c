"""`gateway serve`. What serves is loaded by no other command: it takes longer to load than they take to run."""

from contextlib import ExitStack
from typing import Annotated

import typer

from gateway.cli.console import Config, mistakes_reported, read_settings
from gateway.telemetry.sharing import shared_metrics


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port.", min=0, max=65535)] = None,
    workers: Annotated[int | None, typer.Option(help="Overrides server.workers.", min=1)] = None,
) -> None:
    """Serve the gateway until SIGTERM or Ctrl-C."""
    settings = read_settings(config)
    given = {"host": host, "port": port, "workers": workers}
    server = settings.server.model_copy(update={name: value for name, value in given.items() if value is not None})
    with ExitStack() as stack:
        if server.workers > 1:
            with mistakes_reported():
                stack.enter_context(shared_metrics())
        from gateway.cli.server import run_server  # noqa: PLC0415 - see above

        code = run_server(settings.model_copy(update={"server": server}))
    if code:
        raise typer.Exit(code)
