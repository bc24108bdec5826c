"""`gateway serve`. What serves is loaded by no other command: it takes longer to load than they take to run."""

from typing import Annotated

import typer

from gateway.cli.console import Config, read_settings


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port.", min=0, max=65535)] = None,
) -> None:
    """Serve the gateway until SIGTERM or Ctrl-C."""
    from gateway.cli.server import run_server  # noqa: PLC0415 - see above

    settings = read_settings(config)
    server = settings.server
    if not run_server(settings, host=host or server.host, port=server.port if port is None else port):
        raise typer.Exit(3)
