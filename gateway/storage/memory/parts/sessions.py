"""Sessions and their messages, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gateway.domain import AuditEntry, Session, SessionChanges, SessionStats, StoredMessage
from gateway.ports import Appending, Page
from gateway.storage.memory.parts.part import Part
from gateway.storage.memory.tables import stored
from gateway.storage.rules import check_appending, check_session, page, refuse_archived, stats


class Sessions(Part):
    """ports.sessions.Sessions."""

    async def create_session(self, session: Session) -> None:
        tables = self._opened()
        check_session(session)
        tables.add_session(session)

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        return self._opened().find(user_id, session_id)

    async def list_sessions(
        self,
        user_id: str,
        *,
        limit: int,
        offset: int,
        include_archived: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Session]:
        wanted = (metadata or {}).items()
        found = [
            session
            for session in self._opened().of_user(user_id, include_archived=include_archived)
            if all(session.metadata.get(name) == value for name, value in wanted)
        ]
        found.sort(key=lambda session: (session.created_at, session.id), reverse=True)
        return page(found[offset : offset + limit + 1], limit)

    async def scan_sessions(self, *, user_id: str | None = None, after: str = "", limit: int) -> Sequence[Session]:
        found = [
            session
            for session in self._opened().sessions.values()
            if user_id in (None, session.user_id) and session.is_active and session.id > after
        ]
        return sorted(found, key=lambda session: session.id)[:limit]

    async def update_session(
        self,
        user_id: str,
        session_id: str,
        changes: SessionChanges,
        at: datetime,
        *,
        audit: AuditEntry | None = None,
    ) -> Session | None:
        tables = self._opened()
        tables.check_audit(audit)
        session = tables.find(user_id, session_id)
        if session is None:
            return None
        new = {name: getattr(changes, name) for name in changes.fields}
        changed = replace(session, **new, updated_at=at)
        check_session(changed)
        tables.sessions[session_id] = changed
        tables.note(audit)
        return changed

    async def delete_session(
        self, user_id: str, session_id: str, at: datetime, *, audit: AuditEntry | None = None
    ) -> bool:
        tables = self._opened()
        tables.check_audit(audit)
        session = tables.find(user_id, session_id)
        if session is None:
            return False
        tables.sessions[session_id] = replace(session, deleted_at=at, updated_at=at)
        tables.note(audit)
        return True

    async def purge_session(self, user_id: str, session_id: str, *, audit: AuditEntry | None = None) -> bool:
        tables = self._opened()
        tables.check_audit(audit)
        if tables.owned(user_id, session_id) is None:
            return False
        tables.remove_session(session_id)
        tables.note(audit)
        return True

    async def session_stats(self, user_id: str, session_id: str) -> SessionStats | None:
        tables = self._opened()
        session = tables.find(user_id, session_id)
        if session is None:
            return None
        # The user's too: somebody else may have had a session of that id, since purged.
        turns = [
            entry for entry in tables.ledger.values() if (entry.user_id, entry.session_id) == (user_id, session_id)
        ]
        return stats(session, turns)

    # messages

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        tables = self._opened()
        if tables.find(user_id, session_id) is None:
            return None
        found = tables.messages[session_id][offset : offset + limit + 1]
        return page([stored(row) for row in found], limit)

    async def read_messages(
        self, user_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[StoredMessage] | None:
        tables = self._opened()
        if tables.find(user_id, session_id) is None:
            return None
        return [stored(row) for row in tables.messages[session_id] if row.seq > after][:limit]

    async def add_messages(self, appending: Appending) -> int | None:
        tables = self._opened()
        session = tables.find(appending.user_id, appending.session_id)
        if session is None:
            return None
        refuse_archived(session)
        check_appending(appending)
        return tables.append(session, appending)
