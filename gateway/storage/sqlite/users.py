"""Works on users."""

import sqlite3

from gateway.domain import AuditEntry, User, UserChanges
from gateway.ports import Page
from gateway.storage.key_rules import changed_user
from gateway.storage.rules import page
from gateway.storage.sqlite import audit
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import from_user, to_user
from gateway.storage.texts import is_storable

_ERASING = (
    "blank_texts_of_user",
    "blank_messages_of_user",
    "blank_sessions_of_user",
    "remove_texts_of_user",
    "remove_from_search_queue_of_user",
    "remove_from_turn_queue_of_user",
    "remove_sessions_of_user",
    "remove_keys_of_user",
    "blank_ledger_of_user",
)


def add(connection: sqlite3.Connection, user: User, entry: AuditEntry | None) -> User:
    """The stored user of that name."""
    if connection.execute(QUERIES["add_user"], from_user(user)).rowcount:
        audit.note(connection, entry)
    return to_user(connection.execute(QUERIES["find_user_by_name"], {"name": user.name}).fetchone())


def find(connection: sqlite3.Connection, user_id: str) -> User | None:
    if not is_storable(user_id):
        return None
    row = connection.execute(QUERIES["find_user"], {"id": user_id}).fetchone()
    return None if row is None else to_user(row)


def update(connection: sqlite3.Connection, user_id: str, changes: UserChanges, entry: AuditEntry | None) -> User | None:
    user = find(connection, user_id)
    if user is None or (changed := changed_user(user, changes)) == user:
        return user
    connection.execute(QUERIES["update_user"], from_user(changed))
    audit.note(connection, entry)
    return changed


def list_page(connection: sqlite3.Connection, *, limit: int, offset: int) -> Page[User]:
    rows = connection.execute(QUERIES["list_users"], {"limit": limit + 1, "offset": offset})
    return page([to_user(row) for row in rows], limit)


def erase(connection: sqlite3.Connection, user_id: str, entry: AuditEntry | None) -> bool:
    """Texts are overwritten where they stand before their rows are removed.

    A removed row is zeroed by `secure_delete`, but removing many makes SQLite move those that are left from page to
    page, and of what it moves it leaves copies. So it must have nothing to move but blanks.
    """
    if not is_storable(user_id) or not connection.execute(QUERIES["has_user"], {"user_id": user_id}).fetchone()[0]:
        return False
    for name in _ERASING:
        connection.execute(QUERIES[name], {"user_id": user_id})
    connection.execute(QUERIES["remove_user"], {"user_id": user_id})
    audit.note(connection, entry)
    return True
