"""Export: sessions as JSON Lines, a session a line, its messages in OpenAI's wire form.

    {"session_id", "user", "session_name", "model", "max_history_messages", "metadata", "ttl_seconds", "created_at",
     "archived_at", "messages": [pinned instructions first, then the conversation]}

The messages come last and are written as they are read, so that a session of any length takes the memory of one page.
They are what was said: messages of failed turns are left out, and a reply that was cut off is written as later turns
are sent it, without half a tool call. Everything else goes out byte for byte as it is stored.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from gateway.domain import HistoryMessage, Session, Status, StoredMessage, User
from gateway.errors import NotFound, session_not_found
from gateway.history.exchanges import remember
from gateway.ports import Store
from gateway.wire.json import dump

_PAGE = 500
"""Messages, or users, read at once."""

_SESSIONS = 100


async def export_session(store: Store, session: Session, *, user: str) -> AsyncIterator[bytes]:
    """One session of the user of that name as one line, in chunks; its messages up to `session.last_seq`.

    Raises NotFound if the session is not there (any longer). If it is deleted in the middle, the line stays unfinished.
    """
    line = _head(session, user) + b",".join(session.instructions)
    comma = b"," if session.instructions else b""
    async for bodies in _conversation(store, session):
        yield line + comma + b",".join(bodies)
        line, comma = b"", b","
    yield line + b"]}\n"


async def export_user(store: Store, user: User) -> AsyncIterator[bytes]:
    """The line of `every_session`, in chunks."""
    async for session in every_session(store, user):
        async for chunk in _unless_deleted(export_session(store, session, user=user.name)):
            yield chunk


async def _unless_deleted(line: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks of a session's line, none if it was deleted since it was listed. Raises NotFound in its middle."""
    begun = False
    try:
        async for chunk in line:
            begun = True
            yield chunk
    except NotFound:
        if begun:
            raise


async def every_user(store: Store) -> AsyncIterator[User]:
    offset = 0
    while True:
        page = await store.list_users(limit=_PAGE, offset=offset)
        for user in page.items:
            yield user
        if not page.has_more:
            return
        offset += len(page.items)


async def find_user(store: Store, name_or_id: str) -> User | None:
    """Names are unique, and so are ids; should one user's name be another's id, it is the id that counts."""
    if (user := await store.get_user(name_or_id)) is not None:
        return user
    async for user in every_user(store):
        if user.name == name_or_id:
            return user
    return None


async def every_session(store: Store, user: User) -> AsyncIterator[Session]:
    """Every session of a user that is not deleted, archived ones too, in the order of their ids."""
    after = ""
    while page := await store.scan_sessions(user_id=user.id, after=after, limit=_SESSIONS):
        for session in page:
            yield session
        after = page[-1].id


async def _conversation(store: Store, session: Session) -> AsyncIterator[Sequence[bytes]]:
    """The bodies of the messages of its conversation, a page at a time."""
    after = 0
    while True:
        page = await store.read_messages(session.user_id, session.id, after=after, limit=_PAGE)
        if page is None:
            raise session_not_found(session.id)
        there = [message for message in page if message.seq <= session.last_seq]
        if bodies := [body for message in there if (body := _said(message)) is not None]:
            yield bodies
        if len(there) < _PAGE:
            return
        after = there[-1].seq


def _head(session: Session, user: str) -> bytes:
    """The line up to where its messages begin."""
    fields = {
        "session_id": session.id,
        "user": user,
        "session_name": session.name,
        "model": session.model,
        "max_history_messages": session.max_history_messages,
        "metadata": dict(session.metadata),
        "ttl_seconds": session.ttl_seconds,
        "created_at": _time(session.created_at),
        "archived_at": _time(session.archived_at),
    }
    return dump(fields).removesuffix(b"}") + b',"messages":['


def _time(value: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the microsecond."""
    return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _said(message: StoredMessage) -> bytes | None:
    """The message as it belongs to the conversation; None if it does not."""
    if message.status is Status.COMPLETE:
        return message.body
    # Neither the encoding nor the time matter to what is left of a message that was cut off.
    history = HistoryMessage(message.seq, message.role, message.body, message.tokens, "", message.status)
    kept = remember(history, now=0)
    return None if kept is None else kept.body
