"""Works on sessions and their messages."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.domain import AuditEntry, Session, SessionChanges, SessionStats, StoredMessage
from gateway.ports import Appending, Page
from gateway.storage.errors import ConstraintViolated
from gateway.storage.postgres.pool import Link
from gateway.storage.postgres.rows import (
    from_instructions,
    from_json,
    from_messages,
    from_session,
    to_session,
    to_stats,
    to_stored_message,
)
from gateway.storage.postgres.users import note
from gateway.storage.rules import growth, page, refuse_archived


async def create(link: Link, session: Session) -> None:
    if not await create_if_free(link, session):
        raise ConstraintViolated(f"there is a session {session.id!r} already")


async def create_if_free(link: Link, session: Session) -> bool:
    return await link.row("create_session", *from_session(session)) is not None


async def find(link: Link, user_id: str, session_id: str) -> Session | None:
    row = await link.row("find_session", session_id, user_id)
    return None if row is None else to_session(row)


async def list_of_user(
    link: Link,
    user_id: str,
    *,
    limit: int,
    offset: int,
    include_archived: bool,
    metadata: Mapping[str, str] | None,
) -> Page[Session]:
    asked = (user_id, include_archived, limit + 1, offset)
    if metadata:
        rows = await link.rows("list_sessions_with_metadata", *asked, from_json(metadata))
    else:
        rows = await link.rows("list_sessions", *asked)
    return page([to_session(row) for row in rows], limit)


async def scan(link: Link, user_id: str | None, after: str, limit: int) -> Sequence[Session]:
    if user_id is None:
        rows = await link.rows("scan_sessions", after, limit)
    else:
        rows = await link.rows("scan_sessions_of_user", after, limit, user_id)
    return [to_session(row) for row in rows]


async def update(
    link: Link, user_id: str, session_id: str, changes: SessionChanges, at: datetime, audit: AuditEntry | None
) -> Session | None:
    async with link.transaction():
        row = await link.row(
            "update_session",
            session_id,
            user_id,
            at,
            list(changes.fields),
            changes.name,
            changes.model,
            changes.max_history_messages,
            from_instructions(changes.instructions),
            from_json(changes.metadata),
            changes.ttl_seconds,
            changes.archived_at,
        )
        if row is None:
            return None
        await note(link, audit)
        return to_session(row)


async def delete(link: Link, user_id: str, session_id: str, at: datetime, audit: AuditEntry | None) -> bool:
    async with link.transaction():
        if await link.row("delete_session", session_id, user_id, at) is None:
            return False
        await note(link, audit)
        return True


async def purge(link: Link, user_id: str, session_id: str, audit: AuditEntry | None) -> bool:
    async with link.transaction():
        if await link.row("purge_session", session_id, user_id) is None:
            return False
        await link.row("forget_sessions", [session_id])
        await note(link, audit)
        return True


async def stats(link: Link, user_id: str, session_id: str) -> SessionStats | None:
    row = await link.row("session_stats", session_id, user_id)
    return None if row is None else to_stats(row)


async def list_messages(
    link: Link, user_id: str, session_id: str, *, limit: int, offset: int
) -> Page[StoredMessage] | None:
    rows = await link.rows("list_messages", session_id, user_id, limit + 1, offset)
    return page([to_stored_message(row) for row in rows if row[0] is not None], limit) if rows else None


async def read_messages(
    link: Link, user_id: str, session_id: str, *, after: int, limit: int
) -> Sequence[StoredMessage] | None:
    rows = await link.rows("read_messages", session_id, user_id, after, limit)
    return [to_stored_message(row) for row in rows if row[0] is not None] if rows else None


async def add_messages(link: Link, appending: Appending) -> int | None:
    before = await link.value(
        "add_messages",
        appending.session_id,
        appending.user_id,
        appending.turn_id,
        appending.status,
        appending.created_at,
        *grown(appending),
        *from_messages(appending.messages),
    )
    if before is None:
        session = await find(link, appending.user_id, appending.session_id)
        if session is not None:
            refuse_archived(session)
        return None
    return before + 1 if appending.messages else 0


def grown(appending: Appending) -> tuple[int | str | None, ...]:
    """By how much a session grows, in the order of the parameters of add_messages and close_turn."""
    by = growth(appending)
    pinned = appending.instructions
    return by.messages, by.failed, by.tokens, by.exchange, None if pinned is None else from_instructions(pinned)
