"""Works on keys."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson

from gateway.domain import ApiKey, AuditEntry, KeyChanges, Rotation
from gateway.storage.key_rules import changed_key, rotated_key
from gateway.storage.sqlite import audit, users
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import from_key, from_time, to_key
from gateway.storage.texts import is_storable


def has_any(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute(QUERIES["has_keys"]).fetchone()[0])


def add(connection: sqlite3.Connection, key: ApiKey, entry: AuditEntry | None) -> ApiKey:
    user = users.add(connection, key.user, None)
    connection.execute(QUERIES["add_key"], from_key(key, user))
    audit.note(connection, entry)
    return to_key(connection.execute(QUERIES["find_key"], {"id": key.id}).fetchone())


def add_first(connection: sqlite3.Connection, keys: Sequence[tuple[ApiKey, AuditEntry]]) -> bool:
    if has_any(connection):
        return False
    for key, entry in keys:
        add(connection, key, entry)
    return True


def find(connection: sqlite3.Connection, key_id: str) -> ApiKey | None:
    if not is_storable(key_id):
        return None
    row = connection.execute(QUERIES["find_key"], {"id": key_id}).fetchone()
    return None if row is None else to_key(row)


def list_all(connection: sqlite3.Connection, user_name: str | None) -> Sequence[ApiKey]:
    if not is_storable(user_name):
        return []
    return [to_key(row) for row in connection.execute(QUERIES["list_keys"], {"user_name": user_name})]


def revoke(connection: sqlite3.Connection, key_id: str, at: datetime, entry: AuditEntry | None) -> ApiKey | None:
    if not is_storable(key_id):
        return None
    if connection.execute(QUERIES["revoke_key"], {"id": key_id, "at": from_time(at)}).rowcount:
        audit.note(connection, entry)
    return find(connection, key_id)


def update(connection: sqlite3.Connection, key_id: str, changes: KeyChanges, entry: AuditEntry | None) -> ApiKey | None:
    key = find(connection, key_id)
    if key is None or (changed := changed_key(key, changes)) == key:
        return key
    connection.execute(QUERIES["update_key"], from_key(changed, changed.user))
    audit.note(connection, entry)
    return changed


def rotate(
    connection: sqlite3.Connection, key_id: str, rotation: Rotation, entry: AuditEntry | None
) -> tuple[ApiKey, ApiKey] | None:
    key = find(connection, key_id)
    rotated = None if key is None else rotated_key(key, rotation)
    if rotated is None:
        return None
    ending, successor = rotated
    connection.execute(QUERIES["update_key"], from_key(ending, ending.user))
    connection.execute(QUERIES["add_key"], from_key(successor, successor.user))
    audit.note(connection, entry)
    return rotated


def note_uses(connection: sqlite3.Connection, uses: Mapping[str, datetime]) -> None:
    times = {key_id: from_time(at) for key_id, at in uses.items()}
    connection.execute(QUERIES["note_key_uses"], {"uses": orjson.dumps(times).decode()})
