"""Sessions and their messages, as works for the lanes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.domain import AuditEntry, Session, SessionChanges, SessionStats, StoredMessage
from gateway.ports import Appending, Page
from gateway.storage.rules import check_audit, check_session
from gateway.storage.sqlite import messages, sessions
from gateway.storage.sqlite.parts.part import Part


class Sessions(Part):
    """ports.sessions.Sessions."""

    async def create_session(self, session: Session) -> None:
        check_session(session)
        await self._lanes.write(lambda connection: sessions.create(connection, session))

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        return await self._lanes.read(lambda connection: sessions.find(connection, user_id, session_id))

    async def list_sessions(
        self,
        user_id: str,
        *,
        limit: int,
        offset: int,
        include_archived: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Session]:
        return await self._lanes.read(
            lambda connection: sessions.list_of_user(
                connection,
                user_id,
                limit=limit,
                offset=offset,
                include_archived=include_archived,
                metadata=metadata or {},
            )
        )

    async def scan_sessions(self, *, user_id: str | None = None, after: str = "", limit: int) -> Sequence[Session]:
        return await self._lanes.read(lambda connection: sessions.scan(connection, user_id, after=after, limit=limit))

    async def update_session(
        self,
        user_id: str,
        session_id: str,
        changes: SessionChanges,
        at: datetime,
        *,
        audit: AuditEntry | None = None,
    ) -> Session | None:
        check_audit(audit)
        with self._changing(user_id, session_id):
            return await self._lanes.write(
                lambda connection: sessions.update(connection, user_id, session_id, changes, at, audit)
            )

    async def delete_session(
        self, user_id: str, session_id: str, at: datetime, *, audit: AuditEntry | None = None
    ) -> bool:
        check_audit(audit)
        with self._changing(user_id, session_id):
            return await self._lanes.write(
                lambda connection: sessions.delete(connection, user_id, session_id, at, audit)
            )

    async def purge_session(self, user_id: str, session_id: str, *, audit: AuditEntry | None = None) -> bool:
        check_audit(audit)
        with self._changing(user_id, session_id):
            purged = await self._lanes.write(lambda connection: sessions.purge(connection, user_id, session_id, audit))
        if purged:
            self._lanes.holds.forget(user_id, session_id)
        return purged

    async def session_stats(self, user_id: str, session_id: str) -> SessionStats | None:
        return await self._lanes.search(
            lambda connection: sessions.stats(connection, user_id, session_id), deadline=self._lanes.deadline()
        )

    # messages

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        return await self._lanes.read(
            lambda connection: messages.list_page(connection, user_id, session_id, limit=limit, offset=offset)
        )

    async def read_messages(
        self, user_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[StoredMessage] | None:
        return await self._lanes.read(
            lambda connection: messages.read_after(connection, user_id, session_id, after=after, limit=limit)
        )

    async def add_messages(self, appending: Appending) -> int | None:
        with self._changing(appending.user_id, appending.session_id):
            return await self._lanes.write(lambda connection: messages.add(connection, appending))
