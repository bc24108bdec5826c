"""ports.Store on one SQLite file: each method is a work for one of its lanes.

Searching brings the index up to date first, for the user who searches. So a turn pays no more for being found one day
than a row in a queue.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial

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
from gateway.ledger import Activity, ListedTurn, Step, TurnFilter, TurnOrder
from gateway.ports import Appending, Cleaned, Cleaning, ClosedTurn, Hold, Locked, OpenedTurn, Page, TurnOpening
from gateway.storage.rules import check_audit, check_key, check_session, check_turn, check_user, nothing_new
from gateway.storage.sqlite import audit as audits
from gateway.storage.sqlite import indexing, keys, ledger, messages, search, sessions, turns, upkeep, users
from gateway.storage.sqlite.batches import Apart, Together
from gateway.storage.sqlite.holds import Taking
from gateway.storage.sqlite.known_sessions import KnownSessions
from gateway.storage.sqlite.lanes import Lanes
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.texts import is_storable

_CAUGHT_UP = 2000
"""Messages that a search brings into the index before it begins. An import can leave more, for `index_messages`."""

_CAUGHT_UP_BYTES = 4_000_000
"""… or bytes of them."""

_LONG = 32_768
"""Bytes that are made into words in a thread of their own."""


class SqliteStore:
    """ports.Store on the file of `url`, sqlite:///PATH, which several processes of one machine may serve from at once.

    `timeout`: seconds that the database may take to answer. `checkpoints=False` is for a process beside those that
    serve, such as a command: the reason is in pragmas.py. Raises ValueError for any other kind of URL.
    """

    def __init__(self, url: str, *, timeout: float = 2.0, checkpoints: bool = True) -> None:
        self._lanes = Lanes(url, timeout=timeout, checkpoints=checkpoints)
        self._known = KnownSessions()
        self._backlog = 0
        """Of the search index, when it was last looked at."""

    async def start(self) -> None:
        self._known.forget()
        await self._lanes.start()

    async def aclose(self) -> None:
        await self._lanes.aclose()

    async def ping(self) -> None:
        await self._lanes.read(_ping)

    def gauges(self) -> Mapping[str, float]:
        return {"database_write_queue": self._lanes.write_queue, "search_index_backlog": self._backlog}

    # users and keys

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

    # sessions

    async def create_session(self, session: Session) -> None:
        check_session(session)
        await self._lanes.write(lambda connection: sessions.create(connection, session))

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        return await self._lanes.read(lambda connection: sessions.find(connection, user_id, session_id))

    async def list_sessions(
        self,
        user_id: str,
        *,
        limit: int,
        offset: int,
        include_archived: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Session]:
        return await self._lanes.read(
            lambda connection: sessions.list_of_user(
                connection,
                user_id,
                limit=limit,
                offset=offset,
                include_archived=include_archived,
                metadata=metadata or {},
            )
        )

    async def scan_sessions(self, *, user_id: str | None = None, after: str = "", limit: int) -> Sequence[Session]:
        return await self._lanes.read(lambda connection: sessions.scan(connection, user_id, after=after, limit=limit))

    async def update_session(
        self,
        user_id: str,
        session_id: str,
        changes: SessionChanges,
        at: datetime,
        *,
        audit: AuditEntry | None = None,
    ) -> Session | None:
        check_audit(audit)
        with self._changing(user_id, session_id):
            return await self._lanes.write(
                lambda connection: sessions.update(connection, user_id, session_id, changes, at, audit)
            )

    async def delete_session(
        self, user_id: str, session_id: str, at: datetime, *, audit: AuditEntry | None = None
    ) -> bool:
        check_audit(audit)
        with self._changing(user_id, session_id):
            return await self._lanes.write(
                lambda connection: sessions.delete(connection, user_id, session_id, at, audit)
            )

    async def purge_session(self, user_id: str, session_id: str, *, audit: AuditEntry | None = None) -> bool:
        check_audit(audit)
        with self._changing(user_id, session_id):
            purged = await self._lanes.write(lambda connection: sessions.purge(connection, user_id, session_id, audit))
        if purged:
            self._lanes.holds.forget(user_id, session_id)
        return purged

    async def session_stats(self, user_id: str, session_id: str) -> SessionStats | None:
        return await self._lanes.search(
            lambda connection: sessions.stats(connection, user_id, session_id), deadline=self._lanes.deadline()
        )

    # messages

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        return await self._lanes.read(
            lambda connection: messages.list_page(connection, user_id, session_id, limit=limit, offset=offset)
        )

    async def read_messages(
        self, user_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[StoredMessage] | None:
        return await self._lanes.read(
            lambda connection: messages.read_after(connection, user_id, session_id, after=after, limit=limit)
        )

    async def add_messages(self, appending: Appending) -> int | None:
        with self._changing(appending.user_id, appending.session_id):
            return await self._lanes.write(lambda connection: messages.add(connection, appending))

    # search

    async def search(
        self, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[SearchHit]:
        if not is_storable(user_id):
            return Page((), has_more=False)
        await self._index(user_id, _CAUGHT_UP)
        return await self._lanes.search(
            lambda connection: search.find(
                connection, user_id, query, limit=limit, offset=offset, include_archived=include_archived
            ),
            deadline=self._lanes.deadline(),
        )

    async def index_messages(self, *, limit: int) -> int:
        indexed = await self._index(None, limit)
        self._backlog = await self._lanes.search(indexing.backlog) if indexed else 0
        return indexed

    async def _index(self, user_id: str | None, limit: int) -> int:
        """Bring what is stored of one user, or of everyone, into the index. Returns of how many texts, or about."""
        count = size = 0
        while count < limit and size < _CAUGHT_UP_BYTES:
            left = limit - count
            lacking = await self._lanes.search(partial(indexing.read_lacking, user_id=user_id, limit=left))
            if not lacking:
                break
            is_long = indexing.size_of(lacking) > _LONG
            indexed = await asyncio.to_thread(indexing.words_for, lacking) if is_long else indexing.words_for(lacking)
            await self._lanes.write(partial(indexing.write, indexed=indexed))
            count += sum(max(1, len(session.bodies)) for session in lacking)
            size += indexing.size_of(lacking)
        return count

    # turns

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        """Reads after the session was taken, never before: what the last holder of it committed must be seen.

        That is so because a lane begins a batch, and with it a snapshot, only after it was given the batch's works.
        """
        hold, holds = opening.hold, self._lanes.holds
        if hold is None:
            return await self._open(opening, Taking.KEPT)
        taking = holds.take(hold.id, opening.user_id, opening.session_id)
        if taking is not Taking.TAKEN:
            return await self._open(opening, taking)
        if (recalled := self._recall(opening)) is not None:
            return recalled
        is_held = False
        changes = self._known.changes
        try:
            opened = self._glance(opening) or await self._open(opening, taking)
            if isinstance(opened, OpenedTurn) and opened.session.archived_at is None:
                is_held = True
                if hold.ticket is None:  # else others may wait, too
                    self._known.put(opened.session, changes=changes)
        finally:
            if not is_held:
                holds.let_go(hold.id)
        return opened

    def _recall(self, opening: TurnOpening) -> OpenedTurn | None:
        """What this process has stored itself, and has cached: nothing is read if it is alone, see presence.py."""
        if not self._lanes.is_alone:
            return None
        session = self._known.get((opening.user_id, opening.session_id))
        return None if session is None else nothing_new(opening, session)

    def _glance(self, opening: TurnOpening) -> OpenedTurn | None:
        """At a session that has had a turn here not long ago, since its window is cached: see glance.py."""
        if opening.known_seq == 0 or not is_storable(opening.session_id):
            return None
        return self._lanes.glance(lambda connection: turns.glance_at_turn(connection, opening))

    async def _open(self, opening: TurnOpening, taking: Taking) -> OpenedTurn | Locked | None:
        deadline = self._lanes.deadline()
        opened = await self._lanes.read(
            lambda connection: turns.open_turn(connection, opening, taking), deadline=deadline
        )
        if opened is not None or (create := opening.create) is None:
            return opened
        check_session(create)
        return await self._lanes.write(
            lambda connection: turns.open_or_create(connection, opening, create, taking), deadline=deadline
        )

    async def queue_turn(self, user_id: str, session_id: str, *, lease: float) -> int | None:
        with self._changing(user_id, session_id):  # not the session, but what opening it says
            return await self._lanes.write(lambda connection: turns.join_queue(connection, user_id, session_id, lease))

    async def renew_holds(self, holds: Sequence[tuple[str, Hold]], *, lease: float) -> None:
        """Holds end with their process: only tickets have a lease."""
        await self._lanes.keep()
        self._look_around()
        tickets = [hold.ticket for _, hold in holds if hold.ticket is not None]
        if tickets:
            await self._lanes.write(lambda connection: turns.renew_tickets(connection, tickets, lease))

    async def release_hold(self, session_id: str, hold: Hold) -> None:
        del session_id  # its byte is on record for the hold
        self._lanes.holds.let_go(hold.id)
        if hold.ticket is not None:
            await self._lanes.write(lambda connection: turns.leave_queue(connection, hold))

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        holds = self._lanes.holds
        try:
            check_turn(turn)
            first_seq = await self._lanes.write(Together(turns.close_turns, turn))
        except BaseException as exc:
            self._forget_failed(exc, turn.entry.user_id, turn.entry.session_id or "")
            raise
        finally:
            if turn.hold is not None:
                holds.let_go(turn.hold.id)
        self._known.grow(turn, first_seq)
        return first_seq

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
        run = self._lanes.search if is_urgent else self._lanes.report
        return await run(
            lambda connection: turns.usage(connection, group_by, since=since, until=until, user_id=user_id, limit=limit)
        )

    async def list_turns(self, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
        return await self._lanes.report(
            partial(ledger.list_turns, chosen=chosen, order=order, limit=limit, offset=offset)
        )

    async def activity(self, chosen: TurnFilter, *, step: Step) -> Activity:
        return await self._lanes.report(partial(ledger.activity, chosen=chosen, step=step))

    # upkeep

    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        await self._lanes.keep()
        if not self._lanes.is_keeper:
            return None
        found = await self._lanes.search(lambda connection: upkeep.list_candidates(connection, cleaning))
        with self._lanes.holds.keeping([*found.due, *found.idle]) as free, self._changing():
            return await self._lanes.write(partial(upkeep.clean, cleaning=cleaning, candidates=found.among(free)))

    @contextmanager
    def _changing(self, *key: str) -> Iterator[None]:
        """While a session, by user and id, or any is changed otherwise than by a turn."""
        self._known.forget(*key)
        try:
            yield
        except BaseException as exc:
            self._forget_failed(exc, *key)
            raise
        self._known.forget(*key)

    def _forget_failed(self, exc: BaseException, *key: str) -> None:
        self._known.forget(*key)
        if isinstance(exc, asyncio.CancelledError):
            # What the writer has begun it brings to its end, and until then the old session is read. It does one thing
            # after the other: once it has done nothing, that is over.
            over = asyncio.ensure_future(self._lanes.write(_nothing))
            over.add_done_callback(partial(self._forget_late, key))

    def _forget_late(self, key: tuple[str, ...], over: asyncio.Future[None]) -> None:
        if not over.cancelled():
            over.exception()  # seen: a store that was closed meanwhile has nothing to say
        self._known.forget(*key)

    def _look_around(self) -> None:
        """All is forgotten even if nobody came: so what presence.py does not see is not missed for long."""
        if not self._lanes.is_alone:
            self._lanes.holds.presence.look()
        self._known.forget()

    async def add_audit(self, entry: AuditEntry) -> None:
        check_audit(entry)
        await self._lanes.write(lambda connection: audits.note(connection, entry))

    async def list_audit(self, *, limit: int, offset: int) -> Page[AuditEntry]:
        return await self._lanes.read(lambda connection: audits.list_page(connection, limit=limit, offset=offset))


def _ping(connection: sqlite3.Connection) -> None:
    connection.execute(QUERIES["ping"]).fetchone()


def _nothing(connection: sqlite3.Connection) -> None:
    del connection
