"""What a store does with sessions and their messages, but for turns."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gateway.domain import AuditEntry, NewMessage, Session, SessionChanges, SessionStats, Status, StoredMessage
from gateway.ports.page import Page
from gateway.values import value


@value
class Appending:
    """Messages that come without a provider's call: no ledger row is written. Otherwise as for ClosedTurn."""

    user_id: str
    session_id: str
    turn_id: str
    created_at: datetime
    messages: Sequence[NewMessage]
    instructions: tuple[bytes, ...] | None = None
    status: Status = Status.COMPLETE
    session_created_at: datetime | None = None


class Sessions(Protocol):
    """Sessions and their messages: part of Store."""

    async def create_session(self, session: Session) -> None: ...

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        """None for an unknown, a deleted and another user's session alike."""

    async def list_sessions(
        self,
        user_id: str,
        *,
        limit: int,
        offset: int,
        include_archived: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Session]:
        """Newest (`created_at`, then `id`) first, without deleted ones; only those whose metadata has these pairs."""

    async def scan_sessions(self, *, user_id: str | None = None, after: str = "", limit: int) -> Sequence[Session]:
        """Sessions of one user, or of everyone, archived ones too, deleted ones not: in the order of their ids.

        `after`: the id of the last session of the page before. The order is the database's own.
        """

    async def update_session(
        self,
        user_id: str,
        session_id: str,
        changes: SessionChanges,
        at: datetime,
        *,
        audit: AuditEntry | None = None,
    ) -> Session | None: ...

    async def delete_session(
        self, user_id: str, session_id: str, at: datetime, *, audit: AuditEntry | None = None
    ) -> bool:
        """Hide the session from every other method. False where `get_session` would say None."""

    async def purge_session(self, user_id: str, session_id: str, *, audit: AuditEntry | None = None) -> bool:
        """Remove the session, its messages and their search index for good; its ledger rows stay.

        Finds deleted ones too. False for an unknown session and another user's.
        """

    async def session_stats(self, user_id: str, session_id: str) -> SessionStats | None:
        """None where `get_session` would say None.

        Counts the turns of the ledger that left messages in the session. Whether it counts those that left none too,
        failed ones whose request had nothing but instructions, is up to the store.
        """

    # messages

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        """Oldest first, of every status. None where `get_session` would say None."""

    async def read_messages(
        self, user_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[StoredMessage] | None:
        """The messages that follow the one with seq `after`. Costs the same anywhere in a session."""

    async def add_messages(self, appending: Appending) -> int | None:
        """Append messages as `close_turn` does. Returns the first one's seq, 0 if there was none.

        None where `get_session` would say None. Raises errors.Conflict (`session_archived`).
        """
