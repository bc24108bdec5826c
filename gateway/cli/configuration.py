"""`gateway config`: whether the settings can be served, what they come to, and what there is to set.

Nothing here opens the database or listens: it can be run before anything else, and beside everything.
"""

from typing import Annotated

import typer

from gateway.addresses import MASK, shown
from gateway.cli.console import Config, read_settings, say
from gateway.cli.effective import as_yaml, without_secrets
from gateway.cli.reference import reference_markdown
from gateway.settings import settings_file
from gateway.wire.json import dump

config_app = typer.Typer(help="Check, show and explain the settings.", no_args_is_help=True)


@config_app.command("check")
def check(config: Config = None) -> None:
    """Say whether `gateway serve` can work with the settings, and if not, every mistake. Opens no database."""
    from gateway.cli.servable import cautions, servable_models  # noqa: PLC0415 - what knows the models takes long to load

    settings = read_settings(config)
    models = servable_models(settings)
    facts = f"Models: {len(settings.models)}, storage: {shown(settings.storage.url)}."
    file = settings_file(config)
    said = f"{file} is valid." if file else "There is no settings file; defaults and GATEWAY_ variables are valid."
    say(f"{said} {facts}")
    for caution in cautions(settings, models):
        say(f"Caution: {caution}.")


@config_app.command("show")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of YAML.")] = False,
    config: Config = None,
) -> None:
    """Print the settings in force: the file, GATEWAY_ variables and defaults, with secrets masked."""
    content = without_secrets(read_settings(config))
    notes = (
        f"In force: {settings_file(config) or 'no settings file'}, GATEWAY_ variables, and defaults for the rest.",
        f"Secrets are masked with {MASK}, which is refused as a setting: put them in its place.",
    )
    if as_json:
        for note in notes:
            say(note)
        typer.echo(dump(content))
    else:
        typer.echo("".join(f"# {note}\n" for note in notes) + as_yaml(content), nl=False)


@config_app.command("reference")
def reference() -> None:
    """Print what there is to set, as Markdown: docs/configuration.md."""
    typer.echo(reference_markdown(), nl=False)
