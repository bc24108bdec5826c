"""Users and keys, as works on a connection."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.domain import ApiKey, AuditEntry, KeyChanges, Rotation, User, UserChanges
from gateway.ports import Page
from gateway.storage import rules
from gateway.storage.postgres import users
from gateway.storage.postgres.parts.part import Part
from gateway.storage.texts import is_storable


class Keys(Part):
    """ports.keys.Keys."""

    async def has_keys(self) -> bool:
        return await self._read(users.has_keys)

    async def add_key(self, key: ApiKey, *, audit: AuditEntry | None = None) -> ApiKey:
        rules.check_key(key)
        return await self._write(lambda link: users.add_key(link, key, audit))

    async def add_first_keys(self, new: Sequence[tuple[ApiKey, AuditEntry]]) -> bool:
        for key, _ in new:
            rules.check_key(key)
        return await self._write(lambda link: users.add_first_keys(link, new))

    async def find_key(self, key_id: str) -> ApiKey | None:
        if not is_storable(key_id):
            return None
        return await self._read(lambda link: users.find_key(link, key_id))

    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        if not is_storable(user_name):
            return ()
        return await self._read(lambda link: users.list_keys(link, user_name))

    async def revoke_key(self, key_id: str, at: datetime, *, audit: AuditEntry | None = None) -> ApiKey | None:
        if not is_storable(key_id):
            return None
        return await self._write(lambda link: users.revoke_key(link, key_id, at, audit))

    async def update_key(self, key_id: str, changes: KeyChanges, *, audit: AuditEntry | None = None) -> ApiKey | None:
        if not is_storable(key_id):
            return None
        return await self._write(lambda link: users.update_key(link, key_id, changes, audit))

    async def rotate_key(
        self, key_id: str, rotation: Rotation, *, audit: AuditEntry | None = None
    ) -> tuple[ApiKey, ApiKey] | None:
        if not is_storable(key_id):
            return None
        return await self._write(lambda link: users.rotate_key(link, key_id, rotation, audit))

    async def note_key_uses(self, uses: Mapping[str, datetime]) -> None:
        await self._write(lambda link: users.note_key_uses(link, uses))

    async def add_user(self, user: User, *, audit: AuditEntry | None = None) -> User:
        rules.check_user(user)
        return await self._write(lambda link: users.add(link, user, audit))

    async def get_user(self, user_id: str) -> User | None:
        if not is_storable(user_id):
            return None
        return await self._read(lambda link: users.find(link, user_id))

    async def update_user(self, user_id: str, changes: UserChanges, *, audit: AuditEntry | None = None) -> User | None:
        if not is_storable(user_id):
            return None
        return await self._write(lambda link: users.update(link, user_id, changes, audit))

    async def list_users(self, *, limit: int, offset: int) -> Page[User]:
        return await self._read(lambda link: users.list_all(link, limit=limit, offset=offset))

    async def erase_user(self, user_id: str, *, audit: AuditEntry | None = None) -> bool:
        if not is_storable(user_id):
            return False
        return await self._write(lambda link: users.erase(link, user_id, audit))
