"""Sessions and their messages, as works on a connection."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.domain import AuditEntry, Session, SessionChanges, SessionStats, StoredMessage
from gateway.ports import Appending, Page
from gateway.storage import rules
from gateway.storage.postgres import sessions
from gateway.storage.postgres.parts.part import NOTHING, Part
from gateway.storage.texts import check_json, check_texts, is_storable


class Sessions(Part):
    """ports.sessions.Sessions."""

    async def create_session(self, session: Session) -> None:
        rules.check_session(session)
        await self._write(lambda link: sessions.create(link, session))

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(lambda link: sessions.find(link, user_id, session_id))

    async def list_sessions(
        self,
        user_id: str,
        *,
        limit: int,
        offset: int,
        include_archived: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Session]:
        if not is_storable(user_id, *(metadata or {}), *(metadata or {}).values()):
            return NOTHING
        return await self._read(
            lambda link: sessions.list_of_user(
                link, user_id, limit=limit, offset=offset, include_archived=include_archived, metadata=metadata
            )
        )

    async def scan_sessions(self, *, user_id: str | None = None, after: str = "", limit: int) -> Sequence[Session]:
        if not is_storable(user_id, after):
            return ()
        return await self._read(lambda link: sessions.scan(link, user_id, after, limit))

    async def update_session(
        self,
        user_id: str,
        session_id: str,
        changes: SessionChanges,
        at: datetime,
        *,
        audit: AuditEntry | None = None,
    ) -> Session | None:
        if not is_storable(user_id, session_id):
            return None
        check_texts(changes.name, changes.model)
        check_json(changes.metadata)
        return await self._write(lambda link: sessions.update(link, user_id, session_id, changes, at, audit))

    async def delete_session(
        self, user_id: str, session_id: str, at: datetime, *, audit: AuditEntry | None = None
    ) -> bool:
        if not is_storable(user_id, session_id):
            return False
        return await self._write(lambda link: sessions.delete(link, user_id, session_id, at, audit))

    async def purge_session(self, user_id: str, session_id: str, *, audit: AuditEntry | None = None) -> bool:
        if not is_storable(user_id, session_id):
            return False
        return await self._write(lambda link: sessions.purge(link, user_id, session_id, audit))

    async def session_stats(self, user_id: str, session_id: str) -> SessionStats | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(lambda link: sessions.stats(link, user_id, session_id))

    # messages

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(
            lambda link: sessions.list_messages(link, user_id, session_id, limit=limit, offset=offset)
        )

    async def read_messages(
        self, user_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[StoredMessage] | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(
            lambda link: sessions.read_messages(link, user_id, session_id, after=after, limit=limit)
        )

    async def add_messages(self, appending: Appending) -> int | None:
        if not is_storable(appending.user_id, appending.session_id):
            return None
        rules.check_appending(appending)
        return await self._write(lambda link: sessions.add_messages(link, appending))
