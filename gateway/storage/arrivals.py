"""How one session comes in by an import, step by step, while others may be at the database.

Invariant: what anybody else has added to the session is neither removed nor mixed into the import unnoticed. The
session is held, which keeps turns and other imports away. The Python API asks for no hold, so that before every step
the session must be as the last one left it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gateway.domain import IMPORT_MARK, NewMessage, Session, SessionChanges
from gateway.errors import Conflict, session_not_found
from gateway.ids import new_turn_id
from gateway.ports import Appending, Hold, Locked, Store, TurnOpening

_PAGE = 500
"""Messages looked at in one read."""

_LEASE = 60.0
"""Seconds that a session is held from one batch to the next: more than counting the longest should take."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One session's way in.

    Until its last message is in, it bears a mark in the place of its metadata: the turn id that this run's messages
    have, by which they can be told from all others. If it never came so far, it is imported anew.
    """

    store: Store
    session: Session
    turn_id: str = field(default_factory=new_turn_id)

    async def begin(self) -> bool:
        """Have an empty session with the mark, and hold it. False if somebody has made it meanwhile, whole."""
        found = await self._open()
        if found.metadata == self._mark:
            return True
        if IMPORT_MARK not in found.metadata:
            return False
        await self._remove(found)
        if (await self._open()).metadata != self._mark:
            raise self._used()
        return True

    async def append(self, messages: Sequence[NewMessage], start: int) -> None:
        await self.store.renew_holds([(self.session.id, self._hold)], lease=_LEASE)
        await self._check(start)
        now = datetime.now(UTC)
        appending = Appending(self.session.user_id, self.session.id, self.turn_id, now, messages)
        if await self.store.add_messages(appending) is None:
            raise session_not_found(self.session.id)

    async def finish(self, count: int) -> None:
        """Give the session, in one step, what makes it whole."""
        await self._check(count)
        session = self.session
        changes = SessionChanges(
            fields=frozenset({"name", "instructions", "metadata", "archived_at", "ttl_seconds"}),
            name=session.name,
            instructions=session.instructions,
            metadata=session.metadata,
            archived_at=session.archived_at,
            ttl_seconds=session.ttl_seconds,
        )
        if await self.store.update_session(session.user_id, session.id, changes, datetime.now(UTC)) is None:
            raise session_not_found(session.id)

    async def let_go(self) -> None:
        await self.store.release_hold(self.session.id, self._hold)

    @property
    def _mark(self) -> Mapping[str, str]:
        return {IMPORT_MARK: self.turn_id}

    @property
    def _hold(self) -> Hold:
        return Hold(self.turn_id)

    async def _open(self) -> Session:
        """Hold the session; it is made where there is none.

        Its epoch is like no other's: `created_at` may be that of an earlier session of the id, which gateways that run
        remember, and messages of which they must not take for this one's.
        """
        begun = replace(
            self.session,
            name=None,
            instructions=(),
            metadata=self._mark,
            archived_at=None,
            ttl_seconds=None,
            epoch=random.randint(1, 2**31),  # noqa: S311 - no secret
        )
        opening = TurnOpening(begun.user_id, begun.id, limit=0, create=begun, hold=self._hold, lease=_LEASE)
        opened = await self.store.open_turn(opening)
        if opened is None:
            raise Conflict(f"The id {begun.id!r} is taken: by another user's session, or by a deleted one.")
        if isinstance(opened, Locked):
            raise Conflict(f"The session {begun.id!r} is in use: by a turn, or by another import. Try again later.")
        return opened.session

    async def _remove(self, found: Session) -> None:
        """Purge what an import has left that broke off, but nothing else.

        Archived, it takes no messages, so that none can come between the look at them and the purge.
        """
        if not _is_as_begun(found):
            raise self._used()
        await self._set_archived(datetime.now(UTC))
        if not await self._has_only(found.metadata[IMPORT_MARK]):
            await self._set_archived(None)
            raise self._used()
        await self.store.purge_session(found.user_id, found.id)

    async def _set_archived(self, at: datetime | None) -> None:
        changes = SessionChanges(frozenset({"archived_at"}), archived_at=at)
        await self.store.update_session(self.session.user_id, self.session.id, changes, datetime.now(UTC))

    async def _has_only(self, turn_id: str) -> bool:
        """Whether the session is as it was begun, but for messages of this turn. Reads all of them."""
        user_id, session_id = self.session.user_id, self.session.id
        found = await self.store.get_session(user_id, session_id)
        if found is None or found.instructions:
            return False
        after = 0
        while page := await self.store.read_messages(user_id, session_id, after=after, limit=_PAGE):
            if any(message.turn_id != turn_id for message in page):
                return False
            after = page[-1].seq
        return True

    async def _check(self, count: int) -> None:
        """Raises Conflict unless the session is as this run has left it, with so many messages."""
        found = await self.store.get_session(self.session.user_id, self.session.id)
        if found is None:
            raise session_not_found(self.session.id)
        if found.metadata != self._mark or found.message_count != count or not _is_as_begun(found):
            raise self._used()

    def _used(self) -> Conflict:
        return Conflict(
            f"The session {self.session.id!r} has been used, by others than this import, before it was whole. Nothing "
            "of it was removed. Purge it to import it anew, or import the line under another id."
        )


def _is_as_begun(session: Session) -> bool:
    """False if somebody has changed a setting that an import gives it last."""
    return session.name is None and not session.instructions and session.archived_at is None
