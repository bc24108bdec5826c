"""Works on users and keys."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from gateway.domain import ApiKey
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import from_key, from_time, to_key


def has_any(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute(QUERIES["has_keys"]).fetchone()[0])


def add(connection: sqlite3.Connection, key: ApiKey) -> ApiKey:
    connection.execute(QUERIES["add_user"], {"id": key.user.id, "name": key.user.name})
    connection.execute(QUERIES["add_key"], from_key(key))
    return to_key(connection.execute(QUERIES["find_key"], {"id": key.id}).fetchone())


def find(connection: sqlite3.Connection, key_id: str) -> ApiKey | None:
    row = connection.execute(QUERIES["find_key"], {"id": key_id}).fetchone()
    return None if row is None else to_key(row)


def list_all(connection: sqlite3.Connection, user_name: str | None) -> Sequence[ApiKey]:
    return [to_key(row) for row in connection.execute(QUERIES["list_keys"], {"user_name": user_name})]


def revoke(connection: sqlite3.Connection, key_id: str, at: datetime) -> ApiKey | None:
    connection.execute(QUERIES["revoke_key"], {"id": key_id, "at": from_time(at)})
    return find(connection, key_id)
