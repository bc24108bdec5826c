"""A store that keeps everything in this process, and nothing beyond it: for tests and for `storage.url: memory:`.

It refuses what a database would refuse by its constraints, so that what works here works there. No method awaits
anything, which is what makes each of them one transaction: all is checked first, then all is written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.domain import (
    ApiKey,
    HistoryMessage,
    LedgerEntry,
    NewMessage,
    Session,
    SessionChanges,
    Status,
    StoredMessage,
    User,
)
from gateway.errors import StorageUnavailable
from gateway.ports import ClosedTurn, OpenedTurn, Page, TurnOpening
from gateway.storage.errors import ConstraintViolated
from gateway.storage.rules import growth, most_messages, newest_messages, page, read_after


@dataclass(frozen=True, slots=True)
class _Appended:
    """A message with what it got from its turn."""

    seq: int
    message: NewMessage
    entry: LedgerEntry


class InMemoryStore:
    """ports.Store on dictionaries. It is open from the start; closed, it is as unavailable as any."""

    def __init__(self) -> None:
        self._open = True
        self._users: dict[str, User] = {}
        self._keys: dict[str, ApiKey] = {}
        self._sessions: dict[str, Session] = {}
        self._messages: dict[str, list[_Appended]] = {}
        self._message_ids: set[str] = set()
        self._ledger: dict[str, LedgerEntry] = {}

    async def start(self) -> None:
        self._open = True

    async def aclose(self) -> None:
        self._open = False

    async def ping(self) -> None:
        self._check_open()

    # users and keys

    async def has_keys(self) -> bool:
        self._check_open()
        return bool(self._keys)

    async def add_key(self, key: ApiKey) -> ApiKey:
        self._check_open()
        user = next((user for user in self._users.values() if user.name == key.user.name), None)
        _refuse(key.id in self._keys, f"there is a key {key.id!r} already")
        _refuse(user is None and key.user.id in self._users, f"there is a user {key.user.id!r} already")
        stored = replace(key, user=user or key.user)
        self._users[stored.user.id] = stored.user
        self._keys[key.id] = stored
        return stored

    async def find_key(self, key_id: str) -> ApiKey | None:
        self._check_open()
        return self._keys.get(key_id)

    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        self._check_open()
        found = [key for key in self._keys.values() if user_name in (None, key.user.name)]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        self._check_open()
        key = self._keys.get(key_id)
        if key is not None and key.revoked_at is None:
            key = self._keys[key_id] = replace(key, revoked_at=at)
        return key

    # sessions

    async def create_session(self, session: Session) -> None:
        self._check_open()
        _refuse(session.id in self._sessions, f"there is a session {session.id!r} already")
        self._add_session(session)

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        self._check_open()
        return self._find(user_id, session_id)

    async def list_sessions(
        self, user_id: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[Session]:
        self._check_open()
        found = [
            session
            for session in self._sessions.values()
            if session.user_id == user_id and session.is_active and (include_archived or session.archived_at is None)
        ]
        found.sort(key=lambda session: (session.created_at, session.id), reverse=True)
        return page(found[offset : offset + limit + 1], limit)

    async def update_session(
        self, user_id: str, session_id: str, changes: SessionChanges, at: datetime
    ) -> Session | None:
        self._check_open()
        session = self._find(user_id, session_id)
        if session is None:
            return None
        new = {name: getattr(changes, name) for name in changes.fields}
        self._sessions[session_id] = replace(session, **new, updated_at=at)
        return self._sessions[session_id]

    async def delete_session(self, user_id: str, session_id: str, at: datetime) -> bool:
        self._check_open()
        session = self._find(user_id, session_id)
        if session is None:
            return False
        self._sessions[session_id] = replace(session, is_active=False, updated_at=at)
        return True

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        self._check_open()
        if self._find(user_id, session_id) is None:
            return None
        found = self._messages[session_id][offset : offset + limit + 1]
        return page([_stored(appended) for appended in found], limit)

    # turns

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | None:
        self._check_open()
        if opening.create is not None and opening.create.id not in self._sessions:
            self._add_session(opening.create)
        session = self._find(opening.user_id, opening.session_id)
        if session is None:
            return None
        after = read_after(opening, session)
        found = list(self._injectable(session.id, after, most_messages(opening, session)))
        return OpenedTurn(session, newest_messages(opening, session, found), after)

    async def close_turn(self, turn: ClosedTurn) -> int:
        self._check_open()
        entry, session_id = turn.entry, turn.entry.session_id
        _refuse(entry.turn_id in self._ledger, f"there is a turn {entry.turn_id!r} already")
        first = 0 if session_id is None else self._append(session_id, turn)
        self._ledger[entry.turn_id] = entry
        return first

    async def list_ledger(self, user_id: str, *, limit: int, offset: int) -> Page[LedgerEntry]:
        self._check_open()
        found = [entry for entry in self._ledger.values() if entry.user_id == user_id]
        found.sort(key=lambda entry: (entry.created_at, entry.turn_id), reverse=True)
        return page(found[offset : offset + limit + 1], limit)

    # what the methods are made of

    def _check_open(self) -> None:
        if not self._open:
            raise StorageUnavailable

    def _find(self, user_id: str, session_id: str) -> Session | None:
        session = self._sessions.get(session_id)
        return session if session is not None and session.user_id == user_id and session.is_active else None

    def _add_session(self, session: Session) -> None:
        _refuse(session.user_id not in self._users, f"there is no user {session.user_id!r}")
        self._sessions[session.id] = session
        self._messages[session.id] = []

    def _injectable(self, session_id: str, after: int, limit: int) -> Iterator[HistoryMessage]:
        """Newest first, at most `limit`."""
        for appended in reversed(self._messages[session_id]):
            if limit <= 0 or appended.seq <= after:
                return
            if appended.entry.status is not Status.FAILED:
                limit -= 1
                yield _history(appended)

    def _append(self, session_id: str, turn: ClosedTurn) -> int:
        session = self._sessions.get(session_id)
        if session is None or session.user_id != turn.entry.user_id:
            raise ConstraintViolated(f"user {turn.entry.user_id!r} has no session {session_id!r}")
        ids = {message.id for message in turn.messages}
        _refuse(
            len(ids) < len(turn.messages) or not ids.isdisjoint(self._message_ids), "there is such a message already"
        )
        self._message_ids |= ids
        first = session.last_seq + 1
        self._messages[session_id] += [
            _Appended(seq, message, turn.entry) for seq, message in enumerate(turn.messages, start=first)
        ]
        self._sessions[session_id] = _grown(session, turn)
        return first if turn.messages else 0


def _refuse(broken: bool, why: str) -> None:
    if broken:
        raise ConstraintViolated(why)


def _grown(session: Session, turn: ClosedTurn) -> Session:
    grown = growth(turn)
    return replace(
        session,
        message_count=session.message_count + grown.messages,
        failed_count=session.failed_count + grown.failed,
        total_tokens=session.total_tokens + grown.tokens,
        last_seq=session.last_seq + grown.messages,
        exchange_seq=session.last_seq + grown.exchange if grown.exchange else session.exchange_seq,
        instructions=session.instructions if turn.instructions is None else turn.instructions,
        last_message_at=turn.entry.created_at,
        updated_at=turn.entry.created_at,
    )


def _history(appended: _Appended) -> HistoryMessage:
    message = appended.message
    return HistoryMessage(
        appended.seq, message.role, message.body, message.tokens, message.encoding, appended.entry.status
    )


def _stored(appended: _Appended) -> StoredMessage:
    message, entry = appended.message, appended.entry
    return StoredMessage(
        id=message.id,
        seq=appended.seq,
        turn_id=entry.turn_id,
        role=message.role,
        body=message.body,
        tokens=message.tokens,
        status=entry.status,
        created_at=entry.created_at,
        latency_ms=message.latency_ms,
        ttft_ms=message.ttft_ms,
        model=message.model,
        metadata=message.metadata,
    )
