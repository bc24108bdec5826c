"""Users and keys, as works for the lanes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.domain import ApiKey, AuditEntry, KeyChanges, Rotation, User, UserChanges
from gateway.ports import Page
from gateway.storage.rules import check_audit, check_key, check_user
from gateway.storage.sqlite import keys, upkeep, users
from gateway.storage.sqlite.batches import Apart
from gateway.storage.sqlite.parts.part import Part


class Keys(Part):
    """ports.keys.Keys."""

    async def has_keys(self) -> bool:
        return await self._lanes.read(keys.has_any)

    async def add_key(self, key: ApiKey, *, audit: AuditEntry | None = None) -> ApiKey:
        check_key(key)
        check_audit(audit)
        return await self._lanes.write(lambda connection: keys.add(connection, key, audit))

    async def add_first_keys(self, new: Sequence[tuple[ApiKey, AuditEntry]]) -> bool:
        for key, entry in new:
            check_key(key)
            check_audit(entry)
        return await self._lanes.write(lambda connection: keys.add_first(connection, new))

    async def find_key(self, key_id: str) -> ApiKey | None:
        return await self._lanes.read(lambda connection: keys.find(connection, key_id))

    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        return await self._lanes.read(lambda connection: keys.list_all(connection, user_name))

    async def revoke_key(self, key_id: str, at: datetime, *, audit: AuditEntry | None = None) -> ApiKey | None:
        check_audit(audit)
        return await self._lanes.write(lambda connection: keys.revoke(connection, key_id, at, audit))

    async def update_key(self, key_id: str, changes: KeyChanges, *, audit: AuditEntry | None = None) -> ApiKey | None:
        check_audit(audit)
        return await self._lanes.write(lambda connection: keys.update(connection, key_id, changes, audit))

    async def rotate_key(
        self, key_id: str, rotation: Rotation, *, audit: AuditEntry | None = None
    ) -> tuple[ApiKey, ApiKey] | None:
        check_audit(audit)
        return await self._lanes.write(lambda connection: keys.rotate(connection, key_id, rotation, audit))

    async def note_key_uses(self, uses: Mapping[str, datetime]) -> None:
        await self._lanes.write(lambda connection: keys.note_uses(connection, uses))

    async def add_user(self, user: User, *, audit: AuditEntry | None = None) -> User:
        check_user(user)
        check_audit(audit)
        return await self._lanes.write(lambda connection: users.add(connection, user, audit))

    async def get_user(self, user_id: str) -> User | None:
        return await self._lanes.read(lambda connection: users.find(connection, user_id))

    async def update_user(self, user_id: str, changes: UserChanges, *, audit: AuditEntry | None = None) -> User | None:
        check_audit(audit)
        return await self._lanes.write(lambda connection: users.update(connection, user_id, changes, audit))

    async def list_users(self, *, limit: int, offset: int) -> Page[User]:
        return await self._lanes.read(lambda connection: users.list_page(connection, limit=limit, offset=offset))

    async def erase_user(self, user_id: str, *, audit: AuditEntry | None = None) -> bool:
        """Clears the files too, not the rows alone, where this process is the keeper (pragmas.py).

        Where it is not, the WAL has the pages as they were until the keeper's checkpoints have it written over from
        its beginning, or the last process that has the database open closes it. A word that SQLite copied within a
        page that it split long ago can be left in the unused part of that page: only VACUUM, which keeps everybody
        waiting as long as it writes the whole database anew, is certain to remove it.
        """
        check_audit(audit)
        with self._changing():
            erased = await self._lanes.write(lambda connection: users.erase(connection, user_id, audit))
        # For an unknown user too: asked again after a failure, it goes on with what was left.
        is_left = await self._lanes.write(upkeep.begin_merging)
        while is_left:
            is_left = await self._lanes.write(upkeep.merge_on)
        if self._lanes.is_keeper:
            await self._lanes.write(Apart(upkeep.empty_wal))
        return erased
