"""The rows of an in-memory store, with what a database would do to them: constraints, counters, cascades.

Invariant: a method that raises has changed nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway.domain import (
    ApiKey,
    AuditEntry,
    HistoryMessage,
    LedgerEntry,
    NewMessage,
    Session,
    Status,
    StoredMessage,
    User,
)
from gateway.ports import Appending
from gateway.storage.errors import ConstraintViolated
from gateway.storage.memory.holds import Holds
from gateway.storage.rules import check_audit, grown


@dataclass(frozen=True, slots=True)
class Row:
    """A message with what it got from its turn."""

    seq: int
    message: NewMessage
    turn: Appending


class Tables:
    """Reads are of the attributes; whatever has rules to keep is a method."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.keys: dict[str, ApiKey] = {}
        self.sessions: dict[str, Session] = {}
        self.messages: dict[str, list[Row]] = {}
        self.ledger: dict[str, LedgerEntry] = {}
        self.audit: dict[str, AuditEntry] = {}
        self.holds = Holds()
        self._message_ids: set[str] = set()

    def owned(self, user_id: str, session_id: str) -> Session | None:
        """Deleted ones too."""
        session = self.sessions.get(session_id)
        return session if session is not None and session.user_id == user_id else None

    def find(self, user_id: str, session_id: str) -> Session | None:
        session = self.owned(user_id, session_id)
        return session if session is not None and session.is_active else None

    def of_user(self, user_id: str, *, include_archived: bool) -> list[Session]:
        return [
            session
            for session in self.sessions.values()
            if session.user_id == user_id and session.is_active and (include_archived or session.archived_at is None)
        ]

    def find_or_add_user(self, user: User) -> User:
        found = next((known for known in self.users.values() if known.name == user.name), None)
        refuse(found is None and user.id in self.users, f"there is a user {user.id!r} already")
        return found or self.users.setdefault(user.id, user)

    def set_user(self, user: User) -> None:
        """In place of the one of that id, who is noted with each of their keys as well."""
        self.users[user.id] = user
        for key in [key for key in self.keys.values() if key.user.id == user.id]:
            self.keys[key.id] = replace(key, user=user)

    def add_session(self, session: Session) -> None:
        refuse(session.id in self.sessions, f"there is a session {session.id!r} already")
        refuse(session.user_id not in self.users, f"there is no user {session.user_id!r}")
        self.sessions[session.id] = session
        self.messages[session.id] = []

    def append(self, session: Session, turn: Appending) -> int:
        """Returns the seq of the first message, 0 if there is none."""
        ids = {message.id for message in turn.messages}
        is_known = len(ids) < len(turn.messages) or not ids.isdisjoint(self._message_ids)
        refuse(is_known, "there is such a message already")
        self._message_ids |= ids
        first = session.last_seq + 1
        self.messages[session.id] += [Row(seq, message, turn) for seq, message in enumerate(turn.messages, start=first)]
        self.sessions[session.id] = grown(session, turn)
        return first if turn.messages else 0

    def injectable(self, session_id: str, after: int, limit: int) -> Iterator[HistoryMessage]:
        """Newest first, at most `limit`."""
        for row in reversed(self.messages[session_id]):
            if limit <= 0 or row.seq <= after:
                return
            if row.turn.status is not Status.FAILED:
                limit -= 1
                yield _history(row)

    def remove_session(self, session_id: str) -> None:
        self.remove_messages(session_id, len(self.messages[session_id]))
        del self.messages[session_id]
        del self.sessions[session_id]
        self.holds.forget(session_id)

    def remove_messages(self, session_id: str, limit: int) -> int:
        """The oldest ones. Returns how many."""
        rows = self.messages[session_id]
        self._message_ids -= {row.message.id for row in rows[:limit]}
        self.messages[session_id] = rows[limit:]
        return len(rows[:limit])

    def check_audit(self, entry: AuditEntry | None) -> None:
        """Comes before anything is written, as `note` comes after."""
        check_audit(entry)
        refuse(entry is not None and entry.id in self.audit, "there is such an audit entry already")

    def note(self, entry: AuditEntry | None) -> None:
        if entry is not None:
            self.audit[entry.id] = entry


def refuse(broken: bool, why: str) -> None:
    if broken:
        raise ConstraintViolated(why)


def stored(row: Row) -> StoredMessage:
    message, turn = row.message, row.turn
    return StoredMessage(
        id=message.id,
        seq=row.seq,
        turn_id=turn.turn_id,
        role=message.role,
        body=message.body,
        tokens=message.tokens,
        status=turn.status,
        created_at=turn.created_at,
        latency_ms=message.latency_ms,
        ttft_ms=message.ttft_ms,
        model=message.model,
        metadata=message.metadata,
    )


def _history(row: Row) -> HistoryMessage:
    message = row.message
    return HistoryMessage(row.seq, message.role, message.body, message.tokens, message.encoding, row.turn.status)
