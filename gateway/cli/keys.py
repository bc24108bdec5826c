"""`gateway keys`: create, list and revoke API keys."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gateway.api.keys import key_output
from gateway.auth.issuing import issue_key, revoke_key
from gateway.cli.console import Config, aligned, fail, people, read_settings, with_store
from gateway.ports import Store
from gateway.wire.json import dump

keys_app = typer.Typer(help="Create, list and revoke API keys. Works while the server runs.", no_args_is_help=True)


@keys_app.command("create")
def create_key(
    user: Annotated[str, typer.Option(help="The key's user; created if new.")],
    admin: Annotated[bool, typer.Option("--admin", help="Let the key use /admin routes too.")] = False,
    name: Annotated[str | None, typer.Option(help="A name to tell keys apart.")] = None,
    expires_in: Annotated[str | None, typer.Option(help="Such as 90s, 15m, 12h, 30d or 4w.")] = None,
    config: Config = None,
) -> None:
    """Create an API key. It is printed this once, alone on standard output."""
    settings = read_settings(config)

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

    typer.echo(with_store(settings, create))


@keys_app.command("list")
def list_keys(
    user: Annotated[str | None, typer.Option(help="Only this user's keys.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """List keys, revoked and expired ones too; never the keys themselves."""
    keys = with_store(read_settings(config), lambda store: store.list_keys(user_name=user))
    rows = [key_output(key) for key in keys]
    if as_json:
        for row in rows:
            typer.echo(dump(row))
        return
    for line in aligned([_HEADINGS, *map(_cells, rows)]):
        typer.echo(line)


@keys_app.command("revoke")
def revoke(
    id_or_key: Annotated[str, typer.Argument(help="The key's id (key_…), or the key itself.")],
    config: Config = None,
) -> None:
    """Revoke a key: it stops working everywhere within 5 seconds."""
    key = with_store(read_settings(config), lambda store: revoke_key(store, id_or_key))
    if key is None:
        fail("There is no such key. `gateway keys list` shows the ids.")
    people.print(f"Revoked {key.id} of {key.user.name}.", highlight=False)


_HEADINGS = ("ID", "USER", "NAME", "SCOPES", "CREATED", "EXPIRES", "REVOKED")


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = [row["id"], row["user"], row["name"] or "-", " ".join(row["scopes"])]
    times = [row["created_at"], row["expires_at"], row["revoked_at"]]
    return [*cells, *[time[:19] + "Z" if time else "-" for time in times]]
