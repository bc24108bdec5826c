"""Works on sessions and their messages, as the sessions API needs them. Each names the user that it works for."""

import sqlite3
from datetime import datetime

from gateway.domain import Session, SessionChanges, StoredMessage
from gateway.ports import Page
from gateway.storage.errors import ConstraintViolated
from gateway.storage.rules import page
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import (
    from_instructions,
    from_metadata,
    from_session,
    from_time,
    to_session,
    to_stored_message,
)


def create(connection: sqlite3.Connection, session: Session) -> None:
    if not create_if_free(connection, session):
        raise ConstraintViolated(f"there is a session {session.id!r} already")


def create_if_free(connection: sqlite3.Connection, session: Session) -> bool:
    return connection.execute(QUERIES["add_session"], from_session(session)).rowcount == 1


def find(connection: sqlite3.Connection, user_id: str, session_id: str) -> Session | None:
    row = connection.execute(QUERIES["find_session"], {"id": session_id, "user_id": user_id}).fetchone()
    return None if row is None else to_session(row)


def list_of_user(
    connection: sqlite3.Connection, user_id: str, *, limit: int, offset: int, include_archived: bool
) -> Page[Session]:
    rows = connection.execute(
        QUERIES["list_sessions"],
        {"user_id": user_id, "limit": limit + 1, "offset": offset, "include_archived": include_archived},
    )
    return page([to_session(row) for row in rows], limit)


def update(
    connection: sqlite3.Connection, user_id: str, session_id: str, changes: SessionChanges, at: datetime
) -> Session | None:
    connection.execute(
        QUERIES["update_session"],
        {
            "id": session_id,
            "user_id": user_id,
            "at": from_time(at),
            "set_name": "name" in changes.fields,
            "name": changes.name,
            "set_model": "model" in changes.fields,
            "model": changes.model,
            "set_max_history_messages": "max_history_messages" in changes.fields,
            "max_history_messages": changes.max_history_messages,
            "set_instructions": "instructions" in changes.fields,
            "instructions": from_instructions(changes.instructions),
            "set_metadata": "metadata" in changes.fields,
            "metadata": from_metadata(changes.metadata),
        },
    )
    return find(connection, user_id, session_id)


def delete(connection: sqlite3.Connection, user_id: str, session_id: str, at: datetime) -> bool:
    parameters = {"id": session_id, "user_id": user_id, "at": from_time(at)}
    return connection.execute(QUERIES["delete_session"], parameters).rowcount == 1


def list_messages(
    connection: sqlite3.Connection, user_id: str, session_id: str, *, limit: int, offset: int
) -> Page[StoredMessage] | None:
    if find(connection, user_id, session_id) is None:
        return None
    rows = connection.execute(
        QUERIES["list_messages"], {"session_id": session_id, "limit": limit + 1, "offset": offset}
    )
    return page([to_stored_message(row) for row in rows], limit)
