"""`gateway keys`: create, list, change, rotate and revoke API keys."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gateway.api.keys import key_changes, key_output
from gateway.api.limits import limits_of
from gateway.api.schemas import KeyPatch, validate
from gateway.auth.changing import OVERLAP, rotate_key, update_key
from gateway.auth.issuing import issue_key, revoke_key
from gateway.auth.keys import parse_key
from gateway.cli.console import Config, aligned, fail, mistakes_reported, people, printable, read_settings, with_store
from gateway.cli.limits import Limit, given_limits, shown_limits
from gateway.ports import Store
from gateway.wire.json import dump

keys_app = typer.Typer(
    help="Create, list, change, rotate and revoke API keys. Works while the server runs.", no_args_is_help=True
)

Models = Annotated[
    list[str] | None, typer.Option("--model", help="A model that the key may use; repeatable. None: any.")
]
IdOrKey = Annotated[str, typer.Argument(help="The key's id (key_…), or the key itself.")]

_UNKNOWN = "There is no such key. `gateway keys list` shows the ids."


@keys_app.command("create")
def create_key(
    user: Annotated[str, typer.Option(help="The key's user; created if new.")],
    admin: Annotated[bool, typer.Option("--admin", help="Let the key use /admin and /metrics too.")] = False,
    name: Annotated[str | None, typer.Option(help="A name to tell keys apart.")] = None,
    expires_in: Annotated[str | None, typer.Option(help="Such as 90s, 15m, 12h, 30d or 4w.")] = None,
    model: Models = None,
    limit: Limit = None,
    config: Config = None,
) -> None:
    """Create an API key. It is printed this once, alone on standard output."""
    given = _patch({"allowed_models": model, "limits": given_limits(limit or ())})
    settings = read_settings(config)

    async def create(store: Store) -> str:
        key, text = await issue_key(
            store,
            user_name=user,
            pepper=settings.auth.pepper_text,
            admin=admin,
            name=name,
            expires_in=expires_in,
            allowed_models=None if given.allowed_models is None else frozenset(given.allowed_models),
            limits=limits_of(given.limits),
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


@keys_app.command("update")
def update(
    id_or_key: IdOrKey,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    no_name: Annotated[bool, typer.Option("--no-name", help="Let it have no name.")] = False,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="Let it use /admin and /metrics too, or no longer.")
    ] = None,
    model: Models = None,
    any_model: Annotated[bool, typer.Option("--any-model", help="Let it use any model.")] = False,
    limit: Limit = None,
    expires_in: Annotated[str | None, typer.Option(help="From now, such as 30d.")] = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="Let it never expire.")] = False,
    config: Config = None,
) -> None:
    """Change what a key may do, and for how long. It counts everywhere within 5 seconds."""
    if (name is not None and no_name) or (model and any_model) or (expires_in is not None and no_expiry):
        fail("Choose one of --name and --no-name, of --model and --any-model, of --expires-in and --no-expiry.", code=2)
    limits = given_limits(limit or ())
    asked = {"name": name, "admin": admin, "allowed_models": model, "limits": limits, "expires_in": expires_in}
    to_clear = {"name": no_name, "allowed_models": any_model, "expires_in": no_expiry}
    cleared = {field for field, is_cleared in to_clear.items() if is_cleared}
    given = _patch({field: value for field, value in asked.items() if value not in (None, [], {}) or field in cleared})
    if not given.model_fields_set:
        options = "--name, --no-name, --admin, --no-admin, --model, --any-model, --limit, --expires-in or --no-expiry"
        fail(f"Say what to change: {options}.", code=2)
    with mistakes_reported():
        changes = key_changes(given)
    key_id = parse_key(id_or_key) or id_or_key
    key = with_store(read_settings(config), lambda store: update_key(store, key_id, changes))
    if key is None:
        fail(_UNKNOWN)
    people.print(f"Changed {key.id} of {key.user.name}.", highlight=False)


@keys_app.command("rotate")
def rotate(
    id_or_key: IdOrKey,
    overlap: Annotated[
        str, typer.Option(help="For how long the old key stays valid, such as 24h; 0s: not at all.")
    ] = OVERLAP,
    config: Config = None,
) -> None:
    """Create a key that may do the same. It is printed this once, alone on standard output."""
    settings = read_settings(config)
    key_id, pepper = parse_key(id_or_key) or id_or_key, settings.auth.pepper_text
    rotated = with_store(settings, lambda store: rotate_key(store, key_id, overlap=overlap, pepper=pepper))
    if rotated is None:
        fail(_UNKNOWN)
    old, new, text = rotated
    ends = key_output(old)["expires_at"]
    people.print(
        f"Created {new.id} for {new.user.name}. It is not shown again. {old.id} is valid until {ends}.",
        highlight=False,
        soft_wrap=True,
    )
    typer.echo(text)


@keys_app.command("revoke")
def revoke(
    id_or_key: IdOrKey,
    config: Config = None,
) -> None:
    """Revoke a key: it stops working everywhere within 5 seconds."""
    key = with_store(read_settings(config), lambda store: revoke_key(store, id_or_key))
    if key is None:
        fail(_UNKNOWN)
    people.print(f"Revoked {key.id} of {key.user.name}.", highlight=False)


def _patch(given: Mapping[str, Any]) -> KeyPatch:
    """Mistakes end the process."""
    with mistakes_reported():
        return validate(KeyPatch, given)


_HEADINGS = ("ID", "USER", "NAME", "STATUS", "SCOPES", "MODELS", "LIMITS", "CREATED", "EXPIRES", "REVOKED", "LAST USED")


def _cells(row: Mapping[str, Any]) -> list[str]:
    models = "any" if row["allowed_models"] is None else printable(" ".join(row["allowed_models"]))
    may = [" ".join(row["scopes"]), models, shown_limits(row["limits"])]
    cells = [row["id"], row["user"], row["name"] or "-", row["status"], *may]
    times = [row["created_at"], row["expires_at"], row["revoked_at"], row["last_used_at"]]
    return [*cells, *[time[:19] + "Z" if time else "-" for time in times]]
