"""Archiving a session and bringing it back, each audited once."""

from datetime import UTC, datetime

from gateway.auth.audit import OPERATOR, Actor, audit_entry
from gateway.domain import Session, SessionChanges
from gateway.ports import Store


async def set_archived(
    store: Store, user_id: str, session_id: str, at: datetime | None, *, actor: Actor = OPERATOR
) -> Session | None:
    """Archive the session as of `at`; None brings it back. Returns it as it then is, None if there is none.

    A session that is archived already keeps its first time. Where nothing changes, nothing is audited.
    """
    session = await store.get_session(user_id, session_id)
    if session is None or (session.archived_at is None) == (at is None):
        return session
    changes = SessionChanges(frozenset({"archived_at"}), archived_at=at)
    audit = audit_entry("session.unarchive" if at is None else "session.archive", session_id, actor)
    return await store.update_session(user_id, session_id, changes, datetime.now(UTC), audit=audit)
