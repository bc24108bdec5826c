"""The Python API: the gateway's memory for a program that has no gateway running, or has it beside one.

What is stored through it is what the gateway would have stored of the same messages, so that a conversation may go on
through either. Messages added in one call are stored together, in their order, or not at all.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack

import orjson

from gateway.auth.audit import audit_entry
from gateway.auth.issuing import check_user_name
from gateway.domain import SearchHit, Session, SessionChanges, SessionStats, StoredMessage, User
from gateway.errors import Conflict, session_not_found
from gateway.ids import new_session_id, new_turn_id, new_user_id
from gateway.ports import Appending, OpenedTurn, Page, Store, TurnOpening
from gateway.storage import drafts
from gateway.storage.archiving import set_archived
from gateway.storage.context import recent_context
from gateway.storage.errors import ConstraintViolated
from gateway.storage.opening import make_store
from gateway.storage.rules import refuse_archived
from gateway.tokens.counter import TokenCounter

if TYPE_CHECKING:
    from gateway.settings import ExternalTables

T = TypeVar("T")

Message = dict[str, Any]
"""A chat message in OpenAI's wire form."""


class SessionSettings(TypedDict, total=False):
    """What `update_session` changes."""

    name: str | None
    model: str | None
    system_prompt: str | None
    max_history_messages: int
    metadata: Mapping[str, Any]
    ttl_seconds: int | None


def open_store(
    url: str,
    *,
    timeout: float = 2.0,
    pool_size: int = 10,
    statement_cache_size: int = 100,
    alone: bool = False,
    tables: Mapping[str, str] | None = None,
) -> "SessionStore":
    """A store to be used with `async with`: of sqlite:///PATH, postgresql://USER:PASSWORD@HOST/DATABASE or `memory:`.

    The database is the gateway's own, and is made, or brought up to date, where it is not. `timeout`: seconds that it
    may take to answer. `pool_size` and `statement_cache_size` (0 behind pgbouncer) are PostgreSQL's. `alone`: True
    for a program that runs for long and knows that no gateway serves from the same SQLite file meanwhile. It then
    copies the write-ahead log back as a gateway would; else that is done when the last program closes the file.
    `tables`: names of your own tables on PostgreSQL, of `messages` and of `sessions`, as in `storage.tables`.

    Raises ValueError for any other URL, errors.StorageUnavailable on entering if the database does not answer.
    """
    return SessionStore(
        make_store(
            url,
            timeout=timeout,
            pool_size=pool_size,
            statement_cache_size=statement_cache_size,
            checkpoints=alone,
            external=None if tables is None else _external(tables),
        )
    )


def _external(tables: Mapping[str, str]) -> "ExternalTables":
    from gateway.settings import ExternalTables  # noqa: PLC0415 - with pydantic, which few need here

    if tables.keys() != {"messages", "sessions"}:
        raise ValueError("tables must name both: messages and sessions")
    return ExternalTables(**tables)


class SessionStore:
    """Sessions and their messages. May be used from any task of one event loop; made by `open_store`.

    Users are given by their names, and made where there are none; they are those that the gateway's keys belong to.
    Methods raise errors.NotFound for a session that is not there (any longer), errors.InvalidRequest for what the
    gateway would answer with 400, and errors.StorageUnavailable if the database does not answer.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counter = TokenCounter()

    async def __aenter__(self) -> Self:
        await self._store.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.aclose()

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_session(
        self,
        user: str,
        *,
        session_id: str | None = None,
        name: str | None = None,
        model: str | None = None,
        system_prompt: str | None = None,
        max_history_messages: int = drafts.HISTORY_MESSAGES,
        metadata: Mapping[str, Any] | None = None,
        ttl_seconds: int | None = None,
    ) -> Session:
        """A new, empty session of the user. Raises Conflict (`session_exists`) if the id is taken, by whomever.

        `session_id`: 1 to 128 characters of `A-Za-z0-9._:-`; else one is made. `name` and `model`: up to 256
        characters. `system_prompt` is pinned. `max_history_messages`: 0 to 1000, how many messages of history a
        context has at most. `metadata`: a JSON object of up to 16 KB. `ttl_seconds`: a minute to ten years; so long
        after its last message a gateway that serves from the database purges the session.
        """
        if session_id is not None:
            drafts.check_session_id(session_id)
        now = datetime.now(UTC)
        session = Session(
            id=session_id or new_session_id(),
            user_id=await self._user_id(user),
            name=name,
            model=model,
            max_history_messages=max_history_messages,
            instructions=drafts.pinned(system_prompt),
            metadata=metadata or {},
            ttl_seconds=ttl_seconds,
            created_at=now,
            updated_at=now,
        )
        drafts.check_settings(session)
        try:
            await self._store.create_session(session)
        except ConstraintViolated as exc:
            raise Conflict(
                f"There is a session {session.id!r} already.", code="session_exists", param="session_id"
            ) from exc
        return session

    async def get_session(self, user: str, session_id: str) -> Session | None:
        """The session as it is now; None for an unknown, a deleted and another user's session alike."""
        return await self._store.get_session(await self._user_id(user), session_id)

    async def list_sessions(
        self,
        user: str,
        *,
        limit: int = 20,
        offset: int = 0,
        include_archived: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Session]:
        """The user's sessions, newest first; with `metadata`, those whose metadata has all of these pairs."""
        if metadata is not None:
            drafts.check_filter(metadata)
        drafts.check_paging(limit, offset)
        return await self._store.list_sessions(
            await self._user_id(user),
            limit=limit,
            offset=offset,
            include_archived=include_archived,
            metadata=metadata,
        )

    async def update_session(self, session: Session, **changes: Unpack[SessionSettings]) -> Session:
        """Set what is named, leave the rest; returns the session as it then is. Values are as for `create_session`."""
        given: dict[str, Any] = dict(changes)
        if "system_prompt" in given:
            given["instructions"] = drafts.pinned(given.pop("system_prompt"))
        settings = SessionChanges(fields=frozenset(given), **given)
        drafts.check_settings(settings)
        now = datetime.now(UTC)
        return _found(session, await self._store.update_session(session.user_id, session.id, settings, now))

    async def archive_session(self, session: Session) -> Session:
        """Leave it out of lists, and let it take no messages. Archiving twice keeps the first time."""
        return await self._set_archived(session, datetime.now(UTC))

    async def unarchive_session(self, session: Session) -> Session:
        return await self._set_archived(session, None)

    async def delete_session(self, session: Session, *, purge: bool = False) -> None:
        """Hide the session; a gateway removes it for good after `retention.deleted_days`. `purge` does that now."""
        if purge:
            audit = audit_entry("session.purge", session.id)
            deleted = await self._store.purge_session(session.user_id, session.id, audit=audit)
        else:
            now, audit = datetime.now(UTC), audit_entry("session.delete", session.id)
            deleted = await self._store.delete_session(session.user_id, session.id, now, audit=audit)
        if not deleted:
            raise session_not_found(session.id)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_messages(
        self,
        session: Session,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Append 1 to 2048 messages, all or none. Returns the ids of those that were appended.

        System and developer messages at their head become the session's pinned instructions, in place of earlier ones,
        and are not appended. `model` (up to 256 characters) is noted with the assistant's messages, `metadata` (up to
        16 KB) with all. Raises Conflict (`session_archived`).
        """
        instructions, rest = drafts.parse_wire(messages)
        new = await drafts.draft_messages(rest, self._counter, model=model, metadata=metadata)
        appending = Appending(
            user_id=session.user_id,
            session_id=session.id,
            turn_id=new_turn_id(),
            created_at=datetime.now(UTC),
            messages=new,
            instructions=tuple(message.body for message in instructions) or None,
        )
        _found(session, await self._store.add_messages(appending))
        return [message.id for message in new]

    async def get_messages(self, session: Session, limit: int = 50, offset: int = 0) -> list[Message]:
        """Stored messages as OpenAI's clients take them, oldest first; without the pinned instructions.

        All that were stored: those of failed turns and half a reply too, which `get_recent_context` leaves out.
        """
        page = await self.get_stored_messages(session, limit, offset)
        return [orjson.loads(message.body) for message in page.items]

    async def get_stored_messages(self, session: Session, limit: int = 50, offset: int = 0) -> Page[StoredMessage]:
        """The same messages with what is known about each: `id`, `seq`, `tokens`, `status`, `latency_ms`, …"""
        drafts.check_paging(limit, offset)
        page = await self._store.list_messages(session.user_id, session.id, limit=limit, offset=offset)
        return _found(session, page)

    async def get_recent_context(
        self,
        session: Session,
        max_tokens: int,
        *,
        max_messages: int | None = None,
        encoding: str = drafts.ENCODING,
    ) -> list[Message]:
        """Messages ready to be sent: the pinned instructions, then as many whole recent exchanges as fit.

        An exchange is a user's message and all that followed it. `max_tokens` is what they may take together; leave
        room for tools and the reply. `max_messages` (0 to 1000) is what the exchanges may have together, else the
        session's `max_history_messages`. An exchange that still waits for its reply is always in, whatever that number.
        `encoding`: o200k_base, cl100k_base or p50k_base, tiktoken's name of what tokens are counted with.

        Raises ContextLengthExceeded if the instructions and an exchange that waits need more tokens than that,
        Conflict (`session_archived`), ValueError for another encoding.
        """
        if max_messages is not None:
            drafts.check_max_messages(max_messages)
        opened = await self._store.open_turn(TurnOpening(session.user_id, session.id, limit=max_messages))
        if not isinstance(opened, OpenedTurn):  # never Locked: no hold was asked for
            raise session_not_found(session.id)
        refuse_archived(opened.session)
        limit = opened.session.max_history_messages if max_messages is None else max_messages
        return await recent_context(opened, self._counter, max_tokens=max_tokens, max_messages=limit, encoding=encoding)

    # ── what is known of them ────────────────────────────────────────────────────────────────────────────────────

    async def search(
        self, user: str, query: str, *, limit: int = 20, offset: int = 0, include_archived: bool = False
    ) -> Page[SearchHit]:
        """The user's messages and session names in which every word of `query` stands, the best first.

        There is no query syntax; case, accents and width do not matter.
        """
        drafts.check_paging(limit, offset)
        return await self._store.search(
            await self._user_id(user), query, limit=limit, offset=offset, include_archived=include_archived
        )

    async def stats(self, session: Session) -> SessionStats:
        """Counts, tokens, cost and latencies. Cost and latencies are of turns that went through a gateway."""
        return _found(session, await self._store.session_stats(session.user_id, session.id))

    async def _user_id(self, name: str) -> str:
        check_user_name(name)
        return (await self._store.add_user(User(new_user_id(), name))).id

    async def _set_archived(self, session: Session, at: datetime | None) -> Session:
        return _found(session, await set_archived(self._store, session.user_id, session.id, at))


def _found(session: Session, result: T | None) -> T:
    """What the store answered about a session; NotFound if that was nothing."""
    if result is None:
        raise session_not_found(session.id)
    return result
