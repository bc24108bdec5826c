"""The store on PostgreSQL: works on connections of a pool.

Reads give up after `timeout`, and so does the opening of a turn: a client is waiting, and nothing is lost. Writes get
_WRITE_SECONDS, because they may carry a reply that was paid for; a database that is down refuses them at once anyway.
The time that a work waits for a free connection counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

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
from gateway.ledger import NO_ACTIVITY, Activity, ListedTurn, Step, TurnFilter, TurnOrder
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
from gateway.storage import rules
from gateway.storage.activity import is_possible
from gateway.storage.postgres import ledger, retention, search, sessions, turns, users
from gateway.storage.postgres.pool import Link, Pool
from gateway.storage.postgres.queries import QUERIES
from gateway.storage.postgres.schema import prepare
from gateway.storage.texts import check_json, check_texts, is_storable
from gateway.storage.words import phrases_of

T = TypeVar("T")

_WRITE_SECONDS = 30.0
_USAGE_SECONDS = 30.0
"""A sum over millions of turns takes seconds, and only who asked for it waits."""

_MOST_TO_INDEX = 2000
"""Messages that a search adds to the index before it looks."""

_MOST_WORKS = 20
"""… in so many works at most: of long messages, each does a few."""

_NOTHING: Page[Any] = Page((), has_more=False)


class PostgresStore:
    """ports.Store on the database of `url`, postgresql://USER:PASSWORD@HOST/DATABASE and whatever libpq's form allows.

    `timeout`: seconds that the database may take to answer. `pool_size`: connections at most. `statement_cache_size`:
    statements kept prepared on each; 0 where connections are shared by transaction, as by pgbouncer. `statements` are
    those of queries.sql or others of the same names, parameters and columns.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 2.0,
        pool_size: int = 10,
        statement_cache_size: int = 100,
        statements: Mapping[str, str] = QUERIES,
    ) -> None:
        self._timeout = timeout
        self._accounting = asyncio.Lock()
        self._backlog = 0
        """Of the search index, when it was last looked at."""
        self._pool = Pool(url, statements, timeout=timeout, size=pool_size, statement_cache_size=statement_cache_size)

    async def start(self) -> None:
        await self._pool.start()
        try:
            await self._pool.run(prepare, patience=None)  # migrating takes as long as it takes
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def ping(self) -> None:
        await self._read(_ping)

    def gauges(self) -> Mapping[str, float]:
        return {**self._pool.gauges(), "search_index_backlog": self._backlog}

    # users and keys

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

    # sessions

    async def create_session(self, session: Session) -> None:
        rules.check_session(session)
        await self._write(lambda link: sessions.create(link, session))

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(lambda link: sessions.find(link, user_id, session_id))

    async def list_sessions(
        self,
        user_id: str,
        *,
        limit: int,
        offset: int,
        include_archived: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Session]:
        if not is_storable(user_id, *(metadata or {}), *(metadata or {}).values()):
            return _NOTHING
        return await self._read(
            lambda link: sessions.list_of_user(
                link, user_id, limit=limit, offset=offset, include_archived=include_archived, metadata=metadata
            )
        )

    async def scan_sessions(self, *, user_id: str | None = None, after: str = "", limit: int) -> Sequence[Session]:
        if not is_storable(user_id, after):
            return ()
        return await self._read(lambda link: sessions.scan(link, user_id, after, limit))

    async def update_session(
        self,
        user_id: str,
        session_id: str,
        changes: SessionChanges,
        at: datetime,
        *,
        audit: AuditEntry | None = None,
    ) -> Session | None:
        if not is_storable(user_id, session_id):
            return None
        check_texts(changes.name, changes.model)
        check_json(changes.metadata)
        return await self._write(lambda link: sessions.update(link, user_id, session_id, changes, at, audit))

    async def delete_session(
        self, user_id: str, session_id: str, at: datetime, *, audit: AuditEntry | None = None
    ) -> bool:
        if not is_storable(user_id, session_id):
            return False
        return await self._write(lambda link: sessions.delete(link, user_id, session_id, at, audit))

    async def purge_session(self, user_id: str, session_id: str, *, audit: AuditEntry | None = None) -> bool:
        if not is_storable(user_id, session_id):
            return False
        return await self._write(lambda link: sessions.purge(link, user_id, session_id, audit))

    async def session_stats(self, user_id: str, session_id: str) -> SessionStats | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(lambda link: sessions.stats(link, user_id, session_id))

    # messages

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(
            lambda link: sessions.list_messages(link, user_id, session_id, limit=limit, offset=offset)
        )

    async def read_messages(
        self, user_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[StoredMessage] | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(
            lambda link: sessions.read_messages(link, user_id, session_id, after=after, limit=limit)
        )

    async def add_messages(self, appending: Appending) -> int | None:
        if not is_storable(appending.user_id, appending.session_id):
            return None
        rules.check_appending(appending)
        return await self._write(lambda link: sessions.add_messages(link, appending))

    # search

    async def search(
        self, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[SearchHit]:
        phrases = phrases_of(query)
        if not phrases or not is_storable(user_id):
            return _NOTHING
        await self._index(_MOST_TO_INDEX, user_id)
        return await self._read(
            lambda link: search.find(
                link, user_id, phrases, limit=limit, offset=offset, include_archived=include_archived
            )
        )

    async def index_messages(self, *, limit: int) -> int:
        indexed = await self._index(limit, None)
        self._backlog = await self._read(search.backlog) if indexed else 0
        return indexed

    async def _index(self, limit: int, user_id: str | None) -> int:
        indexed = 0
        for _ in range(_MOST_WORKS):
            work = partial(search.index, limit=limit - indexed, user_id=user_id)
            count, is_more = await self._write(work)
            indexed += count
            if indexed >= limit or not is_more:
                break
        return indexed

    # turns

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        if opening.create is not None:
            rules.check_session(opening.create)
        if not is_storable(opening.user_id, opening.session_id):
            return None
        return await self._read(lambda link: turns.open_turn(link, opening))

    async def queue_turn(self, user_id: str, session_id: str, *, lease: float) -> int | None:
        if not is_storable(user_id, session_id):
            return None
        return await self._read(lambda link: turns.queue_turn(link, user_id, session_id, lease))

    async def renew_holds(self, holds: Sequence[tuple[str, Hold]], *, lease: float) -> None:
        held = [(session_id, hold) for session_id, hold in holds if is_storable(session_id, hold.id)]
        await self._write(lambda link: turns.renew_holds(link, held, lease))

    async def release_hold(self, session_id: str, hold: Hold) -> None:
        if is_storable(session_id, hold.id):
            await self._write(lambda link: turns.release_hold(link, session_id, hold))

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        rules.check_turn(turn)
        return await self._write(lambda link: turns.close_turn(link, turn))

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
        if not is_storable(user_id):
            return ()
        run = self._read_long if is_urgent else self._account
        return await run(
            lambda link: turns.usage(link, group_by, since=since, until=until, user_id=user_id, limit=limit)
        )

    async def list_turns(self, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
        if not is_possible(chosen):
            return _NOTHING
        return await self._account(
            lambda link: ledger.list_turns(link, chosen, order=order, limit=limit, offset=offset)
        )

    async def activity(self, chosen: TurnFilter, *, step: Step) -> Activity:
        if not is_possible(chosen):
            return NO_ACTIVITY
        return await self._account(lambda link: ledger.activity(link, chosen, step=step))

    # upkeep

    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        return await self._write(lambda link: retention.clean(link, cleaning))

    async def add_audit(self, entry: AuditEntry) -> None:
        await self._write(lambda link: users.note(link, entry))

    async def list_audit(self, *, limit: int, offset: int) -> Page[AuditEntry]:
        return await self._read(lambda link: users.list_audit(link, limit=limit, offset=offset))

    # how long a work may take

    async def _read(self, work: Callable[[Link], Awaitable[T]]) -> T:
        return await self._pool.run(work, patience=self._timeout)

    async def _account(self, work: Callable[[Link], Awaitable[T]]) -> T:
        """One at a time: whoever asks for many must not take all connections from the turns."""
        async with self._accounting:
            return await self._read_long(work)

    async def _read_long(self, work: Callable[[Link], Awaitable[T]]) -> T:
        return await self._pool.run(work, patience=max(_USAGE_SECONDS, self._timeout))

    async def _write(self, work: Callable[[Link], Awaitable[T]]) -> T:
        return await self._pool.run(work, patience=max(_WRITE_SECONDS, self._timeout))


async def _ping(link: Link) -> None:
    await link.row("ping")
