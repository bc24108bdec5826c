"""What one batch of retention does to the tables.

Invariant: nobody sees a session that has lost some of its messages. One too long for a batch is hidden first.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from gateway.domain import Session
from gateway.ports import Cleaned, Cleaning
from gateway.storage.memory.tables import Tables


def clean(tables: Tables, cleaning: Cleaning) -> Cleaned:
    purged, messages = _purge(tables, cleaning)
    return Cleaned(purged, _delete(tables, cleaning), messages, _forget(tables, cleaning))


def _purge(tables: Tables, cleaning: Cleaning) -> tuple[int, int]:
    """How many sessions and messages."""
    due = [session for session in _unheld(tables) if _is_due(session, cleaning)][: cleaning.limit]
    purged, left = 0, cleaning.limit
    for session in due:
        left -= tables.remove_messages(session.id, left)
        if tables.messages[session.id]:
            tables.sessions[session.id] = replace(session, deleted_at=session.deleted_at or cleaning.now)
            break
        tables.remove_session(session.id)
        purged += 1
    return purged, cleaning.limit - left


def _delete(tables: Tables, cleaning: Cleaning) -> int:
    idle = [session for session in _unheld(tables) if _is_idle(session, cleaning)][: cleaning.limit]
    for session in idle:
        tables.sessions[session.id] = replace(session, deleted_at=cleaning.now, updated_at=cleaning.now)
    return len(idle)


def _forget(tables: Tables, cleaning: Cleaning) -> int:
    before = cleaning.ledger_before
    old = [entry for entry in tables.ledger.values() if before is not None and entry.created_at < before]
    for entry in old[: cleaning.limit]:
        del tables.ledger[entry.turn_id]
    return len(old[: cleaning.limit])


def _unheld(tables: Tables) -> list[Session]:
    """A session that has a turn stays until that is closed."""
    return [session for session in tables.sessions.values() if not tables.holds.is_held(session.id)]


def _is_due(session: Session, cleaning: Cleaning) -> bool:
    """Whether it is to be purged."""
    idle_seconds = (cleaning.now - _last_active(session)) / timedelta(seconds=1)
    if session.ttl_seconds is not None and idle_seconds > session.ttl_seconds:
        return True
    before = cleaning.deleted_before
    return before is not None and session.deleted_at is not None and session.deleted_at < before


def _is_idle(session: Session, cleaning: Cleaning) -> bool:
    before = cleaning.inactive_before
    return before is not None and session.is_active and _last_active(session) < before


def _last_active(session: Session) -> datetime:
    return session.last_message_at or session.created_at
