"""ports.Store on dictionaries.

It refuses what a database would refuse by its constraints, so that what works here works there. No method awaits
anything, which is what makes each of them one transaction: all is checked first, then all is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gateway.domain import (
    ApiKey,
    AuditEntry,
    GroupBy,
    KeyChanges,
    Rotation,
    SearchHit,
    Session,
    SessionChanges,
    SessionStats,
    StoredMessage,
    UsageRow,
    User,
    UserChanges,
)
from gateway.errors import StorageUnavailable
from gateway.ledger import Activity, ListedTurn, Step, TurnFilter, TurnOrder
from gateway.ports import (
    Appending,
    Cleaned,
    Cleaning,
    ClosedTurn,
    Hold,
    Locked,
    OpenedTurn,
    Page,
    TurnOpening,
)
from gateway.storage.key_rules import changed_key, changed_user, rotated_key
from gateway.storage.memory import ledger
from gateway.storage.memory.retention import clean
from gateway.storage.memory.search import search
from gateway.storage.memory.tables import Tables, refuse, stored
from gateway.storage.memory.usage import usage
from gateway.storage.rules import (
    appending,
    check_appending,
    check_key,
    check_session,
    check_turn,
    check_user,
    is_meant,
    most_messages,
    newest_messages,
    page,
    read_after,
    refuse_archived,
    stats,
    without_choices,
)


class InMemoryStore:
    """It is open from the start; closed, it is as unavailable as any."""

    def __init__(self) -> None:
        self._is_open = True
        self._tables = Tables()

    async def start(self) -> None:
        self._is_open = True

    async def aclose(self) -> None:
        self._is_open = False

    async def ping(self) -> None:
        self._opened()

    def gauges(self) -> Mapping[str, float]:
        return {}

    def _opened(self) -> Tables:
        if not self._is_open:
            raise StorageUnavailable
        return self._tables

    # users and keys

    async def has_keys(self) -> bool:
        return bool(self._opened().keys)

    async def add_key(self, key: ApiKey, *, audit: AuditEntry | None = None) -> ApiKey:
        tables = self._opened()
        check_key(key)
        tables.check_audit(audit)
        refuse(key.id in tables.keys, f"there is a key {key.id!r} already")
        added = replace(key, user=tables.find_or_add_user(key.user))
        tables.keys[key.id] = added
        tables.note(audit)
        return added

    async def add_first_keys(self, new: Sequence[tuple[ApiKey, AuditEntry]]) -> bool:
        if self._opened().keys:
            return False
        for key, entry in new:
            await self.add_key(key, audit=entry)
        return True

    async def find_key(self, key_id: str) -> ApiKey | None:
        return self._opened().keys.get(key_id)

    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        found = [key for key in self._opened().keys.values() if user_name in (None, key.user.name)]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, key_id: str, at: datetime, *, audit: AuditEntry | None = None) -> ApiKey | None:
        tables = self._opened()
        tables.check_audit(audit)
        key = tables.keys.get(key_id)
        if key is not None and key.revoked_at is None:
            key = tables.keys[key_id] = replace(key, revoked_at=at)
            tables.note(audit)
        return key

    async def update_key(self, key_id: str, changes: KeyChanges, *, audit: AuditEntry | None = None) -> ApiKey | None:
        tables = self._opened()
        tables.check_audit(audit)
        key = tables.keys.get(key_id)
        if key is None or (changed := changed_key(key, changes)) == key:
            return key
        tables.keys[key_id] = changed
        tables.note(audit)
        return changed

    async def rotate_key(
        self, key_id: str, rotation: Rotation, *, audit: AuditEntry | None = None
    ) -> tuple[ApiKey, ApiKey] | None:
        tables = self._opened()
        tables.check_audit(audit)
        key = tables.keys.get(key_id)
        rotated = None if key is None else rotated_key(key, rotation)
        if rotated is None:
            return None
        ending, successor = rotated
        refuse(successor.id in tables.keys, f"there is a key {successor.id!r} already")
        tables.keys[key_id], tables.keys[successor.id] = ending, successor
        tables.note(audit)
        return rotated

    async def note_key_uses(self, uses: Mapping[str, datetime]) -> None:
        keys = self._opened().keys
        for key_id, at in uses.items():
            key = keys.get(key_id)
            if key is not None and (key.last_used_at is None or key.last_used_at < at):
                keys[key_id] = replace(key, last_used_at=at)

    async def add_user(self, user: User, *, audit: AuditEntry | None = None) -> User:
        tables = self._opened()
        check_user(user)
        tables.check_audit(audit)
        is_new = user.name not in {known.name for known in tables.users.values()}
        added = tables.find_or_add_user(user)
        if is_new:
            tables.note(audit)
        return added

    async def get_user(self, user_id: str) -> User | None:
        return self._opened().users.get(user_id)

    async def update_user(self, user_id: str, changes: UserChanges, *, audit: AuditEntry | None = None) -> User | None:
        tables = self._opened()
        tables.check_audit(audit)
        user = tables.users.get(user_id)
        if user is None or (changed := changed_user(user, changes)) == user:
            return user
        tables.set_user(changed)
        tables.note(audit)
        return changed

    async def list_users(self, *, limit: int, offset: int) -> Page[User]:
        found = sorted(self._opened().users.values(), key=lambda user: user.id)
        return page(found[offset : offset + limit + 1], limit)

    async def erase_user(self, user_id: str, *, audit: AuditEntry | None = None) -> bool:
        tables = self._opened()
        tables.check_audit(audit)
        if tables.users.pop(user_id, None) is None:
            return False
        for session in [session for session in tables.sessions.values() if session.user_id == user_id]:
            tables.remove_session(session.id)
        for key in [key for key in tables.keys.values() if key.user.id == user_id]:
            del tables.keys[key.id]
        for entry in [entry for entry in tables.ledger.values() if entry.user_id == user_id]:
            tables.ledger[entry.turn_id] = replace(entry, session_id=None, request_id="")
        tables.note(audit)
        return True

    # sessions

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

    # search

    async def search(
        self, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[SearchHit]:
        found = search(self._opened(), user_id, query, include_archived=include_archived)
        return page(found[offset : offset + limit + 1], limit)

    async def index_messages(self, *, limit: int) -> int:
        """Nothing is ever left to do: the messages themselves are searched."""
        del limit
        self._opened()
        return 0

    # turns

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        tables = self._opened()
        if opening.create is not None and opening.create.id not in tables.sessions:
            check_session(opening.create)
            tables.add_session(opening.create)
        session = tables.find(opening.user_id, opening.session_id)
        if session is None:
            return None
        if session.archived_at is not None:
            return OpenedTurn(session, (), 0)
        if opening.hold is not None and not tables.holds.take(session.id, opening.hold):
            return Locked()
        after = read_after(opening, session)
        found = list(tables.injectable(session.id, after, most_messages(opening, session)))
        return OpenedTurn(session, newest_messages(opening, session, found), after)

    async def queue_turn(self, user_id: str, session_id: str, *, lease: float) -> int | None:
        del lease
        tables = self._opened()
        return None if tables.find(user_id, session_id) is None else tables.holds.queue(session_id)

    async def renew_holds(self, holds: Sequence[tuple[str, Hold]], *, lease: float) -> None:
        """Holds of this store end with its process: there is no lease to renew."""
        del holds, lease
        self._opened()

    async def release_hold(self, session_id: str, hold: Hold) -> None:
        self._opened().holds.let_go(session_id, hold)

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        tables, entry = self._opened(), turn.entry
        check_turn(turn)
        refuse(entry.turn_id in tables.ledger, f"there is a turn {entry.turn_id!r} already")
        first: int | None = 0
        if entry.session_id is not None:
            session, added = tables.owned(entry.user_id, entry.session_id), appending(turn)
            first = None if session is None or not is_meant(session, added) else tables.append(session, added)
            if turn.hold is not None:
                tables.holds.let_go(entry.session_id, turn.hold)
        tables.ledger[entry.turn_id] = entry if entry.user_id in tables.users else without_choices(entry)
        return first

    async def usage(
        self,
        group_by: GroupBy,
        *,
        since: datetime,
        until: datetime,
        user_id: str | None = None,
        limit: int,
        is_urgent: bool = False,
    ) -> Sequence[UsageRow]:
        del is_urgent  # nothing here waits
        return usage(self._opened(), group_by, since=since, until=until, user_id=user_id, limit=limit)

    async def list_turns(self, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
        return ledger.list_turns(self._opened(), chosen, order=order, limit=limit, offset=offset)

    async def activity(self, chosen: TurnFilter, *, step: Step) -> Activity:
        return ledger.activity(self._opened(), chosen, step=step)

    # upkeep

    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        return clean(self._opened(), cleaning)

    async def add_audit(self, entry: AuditEntry) -> None:
        tables = self._opened()
        tables.check_audit(entry)
        tables.note(entry)

    async def list_audit(self, *, limit: int, offset: int) -> Page[AuditEntry]:
        found = sorted(self._opened().audit.values(), key=lambda entry: (entry.at, entry.id), reverse=True)
        return page(found[offset : offset + limit + 1], limit)
