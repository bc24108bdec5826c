"""Works on sessions, as the sessions API needs them. Each names the user that it works for."""

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gateway.domain import AuditEntry, Session, SessionChanges, SessionStats
from gateway.ports import Page
from gateway.storage.errors import ConstraintViolated
from gateway.storage.rules import check_session, page
from gateway.storage.sqlite import audit
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import from_metadata, from_session, from_time, to_session, to_stats
from gateway.storage.texts import is_storable


def create(connection: sqlite3.Connection, session: Session) -> None:
    if not create_if_free(connection, session):
        raise ConstraintViolated(f"there is a session {session.id!r} already")


def create_if_free(connection: sqlite3.Connection, session: Session) -> bool:
    is_free = connection.execute(QUERIES["add_session"], from_session(session)).rowcount == 1
    if is_free and session.name is not None:
        _queue_title(connection, session)
    return is_free


def find(connection: sqlite3.Connection, user_id: str, session_id: str) -> Session | None:
    if not is_storable(user_id, session_id):
        return None
    row = connection.execute(QUERIES["find_session"], {"id": session_id, "user_id": user_id}).fetchone()
    return None if row is None else to_session(row)


def list_of_user(
    connection: sqlite3.Connection,
    user_id: str,
    *,
    limit: int,
    offset: int,
    include_archived: bool,
    metadata: Mapping[str, str],
) -> Page[Session]:
    if not is_storable(user_id, *metadata.keys(), *metadata.values()):
        return Page((), has_more=False)
    rows = connection.execute(
        QUERIES["list_sessions_by_metadata" if metadata else "list_sessions"],
        {
            "user_id": user_id,
            "limit": limit + 1,
            "offset": offset,
            "include_archived": include_archived,
            "metadata": from_metadata(metadata),
        },
    )
    return page([to_session(row) for row in rows], limit)


def scan(connection: sqlite3.Connection, user_id: str | None, *, after: str, limit: int) -> Sequence[Session]:
    if not is_storable(user_id, after):
        return ()
    name = "scan_sessions" if user_id is None else "scan_sessions_of_user"
    rows = connection.execute(QUERIES[name], {"user_id": user_id, "after": after, "limit": limit})
    return [to_session(row) for row in rows]


def update(
    connection: sqlite3.Connection,
    user_id: str,
    session_id: str,
    changes: SessionChanges,
    at: datetime,
    entry: AuditEntry | None,
) -> Session | None:
    session = find(connection, user_id, session_id)
    if session is None:
        return None
    changed = replace(session, **{name: getattr(changes, name) for name in changes.fields}, updated_at=at)
    check_session(changed)
    connection.execute(QUERIES["update_session"], from_session(changed))
    if changed.name != session.name:
        _queue_title(connection, changed)
    audit.note(connection, entry)
    return changed


def delete(
    connection: sqlite3.Connection, user_id: str, session_id: str, at: datetime, entry: AuditEntry | None
) -> bool:
    if find(connection, user_id, session_id) is None:
        return False
    connection.execute(QUERIES["delete_session"], {"id": session_id, "at": from_time(at)})
    audit.note(connection, entry)
    return True


def purge(connection: sqlite3.Connection, user_id: str, session_id: str, entry: AuditEntry | None) -> bool:
    if not is_storable(user_id, session_id):
        return False
    owns = connection.execute(QUERIES["owns_session"], {"id": session_id, "user_id": user_id}).fetchone()[0]
    if owns:
        remove(connection, session_id)
        audit.note(connection, entry)
    return bool(owns)


def remove(connection: sqlite3.Connection, session_id: str) -> None:
    """With all that belongs to it; of the search index, the triggers see to the words."""
    for name in ("remove_texts", "remove_from_search_queue", "remove_from_turn_queue", "remove_session"):
        connection.execute(QUERIES[name], {"session_id": session_id})


def stats(connection: sqlite3.Connection, user_id: str, session_id: str) -> SessionStats | None:
    session = find(connection, user_id, session_id)
    if session is None:
        return None
    asked = {"user_id": user_id, "session_id": session_id}
    sums = connection.execute(QUERIES["sum_turns"], asked).fetchone()
    rank = math.ceil(0.95 * sums[-1])  # nearest rank; -1 of the turns that have a latency
    row = connection.execute(QUERIES["nth_latency"], {**asked, "before": max(0, rank - 1)}).fetchone()
    return to_stats(session, sums, row and row[0])


def _queue_title(connection: sqlite3.Connection, session: Session) -> None:
    connection.execute(QUERIES["queue_title"], {"session_id": session.id, "user_id": session.user_id})
