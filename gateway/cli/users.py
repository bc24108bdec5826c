"""`gateway users`: who owns keys and sessions, what they may use, and erasing one with all that is theirs."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gateway.api.limits import limits_of, named_limits
from gateway.api.schemas import UserPatch, validate
from gateway.api.users import user_output
from gateway.auth.audit import audit_entry
from gateway.auth.changing import create_user, set_disabled, update_user
from gateway.cli.console import Config, aligned, fail, mistakes_reported, read_settings, say, with_store
from gateway.cli.limits import Limit, given_limits, shown_limits
from gateway.domain import User, UserChanges
from gateway.ports import Store
from gateway.storage.exporting import every_session, every_user, find_user
from gateway.wire.json import dump

users_app = typer.Typer(
    help="Create, list, limit, disable and erase users. Works while the server runs.", no_args_is_help=True
)

_HEADINGS = ("ID", "NAME", "STATUS", "LIMITS")

_UNKNOWN = "There is no such user. `gateway users list` shows them."

NameOrId = Annotated[str, typer.Argument(help="Name or id (user_…).")]


@users_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Keys are made for it with `gateway keys create --user`.")],
    limit: Limit = None,
    config: Config = None,
) -> None:
    """Create a user without keys. Their id is printed alone on standard output."""
    limits = limits_of(_limits(limit).limits)
    user = with_store(read_settings(config), lambda store: create_user(store, name, limits))
    say(f"Created {user.name}.")
    typer.echo(user.id)


@users_app.command("update")
def update(user: NameOrId, limit: Limit = None, config: Config = None) -> None:
    """Set limits for all keys of a user together. They count everywhere within 5 seconds."""
    given = _limits(limit)
    if "limits" not in given.model_fields_set:
        fail("Say what to change: --limit NAME=NUMBER.", code=2)
    changes = UserChanges(frozenset(named_limits(given)), limits=limits_of(given.limits))
    changed = _change(config, user, lambda store, user_id: update_user(store, user_id, changes))
    say(f"Changed {changed.name} ({changed.id}).")


@users_app.command("disable")
def disable(user: NameOrId, config: Config = None) -> None:
    """Let none of a user's keys work any more, everywhere within 5 seconds. Nothing is removed."""
    changed = _change(config, user, lambda store, user_id: set_disabled(store, user_id, True))
    say(f"Disabled {changed.name} ({changed.id}).")


@users_app.command("enable")
def enable(user: NameOrId, config: Config = None) -> None:
    """Let the keys of a disabled user work again."""
    changed = _change(config, user, lambda store, user_id: set_disabled(store, user_id, False))
    say(f"Enabled {changed.name} ({changed.id}).")


def _limits(texts: Sequence[str] | None) -> UserPatch:
    """Mistakes end the process."""
    with mistakes_reported():
        return validate(UserPatch, {"limits": given_limits(texts)} if texts else {})


def _change(config: Path | None, name_or_id: str, change: Callable[[Store, str], Awaitable[User | None]]) -> User:
    async def find_and_change(store: Store) -> User | None:
        user = await find_user(store, name_or_id)
        return None if user is None else await change(store, user.id)

    changed = with_store(read_settings(config), find_and_change)
    if changed is None:
        fail(_UNKNOWN)
    return changed


@users_app.command("list")
def list_users(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """List users, oldest first."""

    async def read(store: Store) -> Sequence[User]:
        return [user async for user in every_user(store)]

    users = with_store(read_settings(config), read)
    rows = [user_output(user) for user in users]
    cells = [(row["id"], row["name"], row["status"], shown_limits(row["limits"])) for row in rows]
    for line in map(dump, rows) if as_json else aligned([_HEADINGS, *cells]):
        typer.echo(line)


@users_app.command("erase")
def erase(
    user: NameOrId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Remove a user for good, with their keys, sessions and messages. Keys stop working within 5 seconds."""
    settings = read_settings(config)
    holdings = with_store(settings, lambda store: _look(store, user))
    if holdings is None:
        fail(_UNKNOWN)
    if not yes:
        _confirm(holdings)
    found = holdings.user
    audit = audit_entry("user.erase", found.id)
    if not with_store(settings, lambda store: store.erase_user(found.id, audit=audit)):
        fail(f"User {found.name} was erased by somebody else meanwhile.")
    say(f"Erased {found.name} ({found.id}).")


@dataclass(frozen=True, slots=True)
class _Holdings:
    """What goes with a user. Deleted sessions are not counted, and go as well."""

    user: User
    keys: int
    sessions: int
    messages: int


async def _look(store: Store, name_or_id: str) -> _Holdings | None:
    user = await find_user(store, name_or_id)
    if user is None:
        return None
    counts = [session.message_count async for session in every_session(store, user)]
    keys = await store.list_keys(user_name=user.name)
    return _Holdings(user, len(keys), len(counts), sum(counts))


def _confirm(holdings: _Holdings) -> None:
    """Returns if somebody at a terminal says yes; ends the process otherwise."""
    user = holdings.user
    say(
        f"This removes {user.name} ({user.id}) for good. Keys: {holdings.keys}, sessions: {holdings.sessions}, "
        f"messages: {holdings.messages}; and all that was deleted before. Only their rows in the ledger stay."
    )
    if not sys.stdin.isatty():
        fail("Nothing was removed. To do it without being asked, add --yes.")
    if not typer.confirm("Go on?", err=True):
        fail("Nothing was removed.")
