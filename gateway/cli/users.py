"""`gateway users`: who owns keys and sessions, and erasing one with all that is theirs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from gateway.api.users import user_output
from gateway.auth.audit import audit_entry
from gateway.cli.console import Config, aligned, fail, read_settings, say, with_store
from gateway.domain import User
from gateway.ports import Store
from gateway.storage.exporting import every_session, every_user, find_user
from gateway.wire.json import dump

users_app = typer.Typer(help="List and erase users. Works while the server runs.", no_args_is_help=True)

_HEADINGS = ("ID", "NAME")


@users_app.command("list")
def list_users(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """List users, oldest first."""

    async def read(store: Store) -> Sequence[User]:
        return [user async for user in every_user(store)]

    users = with_store(read_settings(config), read)
    lines = map(dump, map(user_output, users)) if as_json else aligned([_HEADINGS, *[(u.id, u.name) for u in users]])
    for line in lines:
        typer.echo(line)


@users_app.command("erase")
def erase(
    user: Annotated[str, typer.Argument(help="Name or id (user_…).")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Remove a user for good, with their keys, sessions and messages. Keys stop working within 5 seconds."""
    settings = read_settings(config)
    holdings = with_store(settings, lambda store: _look(store, user))
    if holdings is None:
        fail("There is no such user. `gateway users list` shows them.")
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
