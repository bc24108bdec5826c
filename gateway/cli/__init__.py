"""The `gateway` command. Results go to standard output alone, so that they can be piped; the rest to standard error."""

from typing import Annotated

import typer

from gateway import __version__
from gateway.cli.configuration import config_app
from gateway.cli.db import db_app
from gateway.cli.keys import keys_app
from gateway.cli.serve import serve
from gateway.cli.sessions import sessions_app
from gateway.cli.usage import usage
from gateway.cli.users import users_app

app = typer.Typer(
    name="gateway",
    help="An OpenAI-compatible LLM gateway that remembers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve)
app.command("usage")(usage)
app.add_typer(keys_app, name="keys")
app.add_typer(users_app, name="users")
app.add_typer(sessions_app, name="sessions")
app.add_typer(db_app, name="db")
app.add_typer(config_app, name="config")


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
