"""Users and keys, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gateway.domain import ApiKey, AuditEntry, KeyChanges, Rotation, User, UserChanges
from gateway.ports import Page
from gateway.storage.key_rules import changed_key, changed_user, rotated_key
from gateway.storage.memory.parts.part import Part
from gateway.storage.memory.tables import refuse
from gateway.storage.rules import check_key, check_user, page


class Keys(Part):
    """ports.keys.Keys."""

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
