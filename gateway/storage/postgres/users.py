"""Works on users and keys, and the audit log."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.domain import ApiKey, AuditEntry, KeyChanges, Rotation, User, UserChanges
from gateway.ports import Page
from gateway.storage.key_rules import changed_key, changed_user, from_limits, rotated_key
from gateway.storage.postgres.pool import Link
from gateway.storage.postgres.rows import (
    from_audit_entry,
    from_changed_key,
    from_key,
    from_user,
    to_audit_entry,
    to_key,
    to_user,
)
from gateway.storage.rules import check_audit, page


async def has_keys(link: Link) -> bool:
    return bool(await link.value("has_keys"))


async def add_key(link: Link, key: ApiKey, audit: AuditEntry | None) -> ApiKey:
    async with link.transaction():
        await link.row("add_user", *from_user(key.user))
        await link.row("add_key", *from_key(key))
        await note(link, audit)
        return to_key(await link.one("find_key", key.id))


async def add_first_keys(link: Link, new: Sequence[tuple[ApiKey, AuditEntry]]) -> bool:
    async with link.transaction():
        await link.row("lock_first_keys")
        if await has_keys(link):
            return False
        for key, entry in new:
            await add_key(link, key, entry)
        return True


async def find_key(link: Link, key_id: str) -> ApiKey | None:
    row = await link.row("find_key", key_id)
    return None if row is None else to_key(row)


async def list_keys(link: Link, user_name: str | None) -> Sequence[ApiKey]:
    return [to_key(row) for row in await link.rows("list_keys", user_name)]


async def revoke_key(link: Link, key_id: str, at: datetime, audit: AuditEntry | None) -> ApiKey | None:
    async with link.transaction():
        if await link.row("revoke_key", key_id, at):
            await note(link, audit)
        return await find_key(link, key_id)


async def update_key(link: Link, key_id: str, changes: KeyChanges, audit: AuditEntry | None) -> ApiKey | None:
    async with link.transaction():
        key = await _lock_key(link, key_id)
        if key is None or (changed := changed_key(key, changes)) == key:
            return key
        await link.row("update_key", *from_changed_key(changed))
        await note(link, audit)
        return changed


async def rotate_key(
    link: Link, key_id: str, rotation: Rotation, audit: AuditEntry | None
) -> tuple[ApiKey, ApiKey] | None:
    async with link.transaction():
        await link.row("lock_owner", key_id)
        key = await _lock_key(link, key_id)
        rotated = None if key is None else rotated_key(key, rotation)
        if rotated is None:
            return None
        ending, successor = rotated
        await link.row("update_key", *from_changed_key(ending))
        await link.row("add_key", *from_key(successor))
        await note(link, audit)
        return rotated


async def _lock_key(link: Link, key_id: str) -> ApiKey | None:
    row = await link.row("lock_key", key_id)
    return None if row is None else to_key(row)


async def note_key_uses(link: Link, uses: Mapping[str, datetime]) -> None:
    await link.row("note_key_uses", list(uses), list(uses.values()))


async def add(link: Link, user: User, audit: AuditEntry | None) -> User:
    async with link.transaction():
        if await link.row("add_user", *from_user(user)):
            await note(link, audit)
        return to_user(await link.one("find_user_by_name", user.name))


async def find(link: Link, user_id: str) -> User | None:
    row = await link.row("find_user", user_id)
    return None if row is None else to_user(row)


async def update(link: Link, user_id: str, changes: UserChanges, audit: AuditEntry | None) -> User | None:
    async with link.transaction():
        row = await link.row("lock_user", user_id)
        user = None if row is None else to_user(row)
        if user is None or (changed := changed_user(user, changes)) == user:
            return user
        await link.row("update_user", user_id, from_limits(changed.limits), changed.disabled_at)
        await note(link, audit)
        return changed


async def list_all(link: Link, *, limit: int, offset: int) -> Page[User]:
    return page([to_user(row) for row in await link.rows("list_users", limit + 1, offset)], limit)


async def erase(link: Link, user_id: str, audit: AuditEntry | None) -> bool:
    """The user's row is locked first: nobody makes another session meanwhile."""
    async with link.transaction():
        if await link.row("lock_user", user_id) is None:
            return False
        purged = await link.rows("purge_sessions_of_user", user_id)
        await link.row("forget_sessions", [row[0] for row in purged])
        await link.row("erase_user", user_id)
        await note(link, audit)
        return True


async def note(link: Link, entry: AuditEntry | None) -> None:
    """Write an entry of the audit log, if there is one. To be called in the transaction of what it tells of.

    Raises InvalidRequest, which ends that transaction, if one of its texts cannot be stored.
    """
    check_audit(entry)
    if entry is not None:
        await link.row("add_audit", *from_audit_entry(entry))


async def list_audit(link: Link, *, limit: int, offset: int) -> Page[AuditEntry]:
    return page([to_audit_entry(row) for row in await link.rows("list_audit", limit + 1, offset)], limit)
