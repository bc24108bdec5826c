"""What a store does for a turn: it waits for its session, opens, and closes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from gateway.domain import HistoryMessage, LedgerEntry, NewMessage, Session
from gateway.values import value


@value
class Hold:
    """A turn's claim on its session, which no other turn of any process may have at the same time.

    A hold whose process has died lapses: at once where the store can see that, else when its lease has run out.
    """

    id: str
    """Unique to the turn. Whoever opens with the id that holds the session holds it still."""
    ticket: int | None = None
    """Its place among those who wait for the session (`Store.queue_turn`); None if it did not have to."""


@value
class TurnOpening:
    """What is asked of the store at the start of a turn.

    `known_seq` and `known_epoch` say what this process has cached of the session: only newer messages are read, unless
    the epoch has changed. `limit` overrides the session's own `max_history_messages`. `create` is the session to
    make if the id is free (`sessions.auto_create`); its owner is the caller. With `hold` None the session is only read.
    """

    user_id: str
    session_id: str
    limit: int | None = None
    known_seq: int = 0
    known_epoch: int = -1
    create: Session | None = None
    hold: Hold | None = None
    lease: float = 30.0
    """Seconds that the hold lasts unless it is renewed."""


@value
class OpenedTurn:
    """The session, and its newest injectable messages (`status` not failed) in the order of `seq`.

    `messages` holds those with `seq > after`, at most max(limit, length of the newest exchange) of them: the newest.
    `after` is the opening's `known_seq`, or 0 if its epoch is not the session's or the session is not that long.
    They are what is stored at the moment that the hold began. An archived session is not held, and has no messages.
    """

    session: Session
    messages: Sequence[HistoryMessage]
    after: int


@value
class Locked:
    """The session is there, but another turn holds it, or came first."""


@value
class ClosedTurn:
    """Everything that a turn leaves behind. With `entry.session_id` None (stateless) only the ledger row is written.

    `messages` are appended in order, all with the status of the entry. `instructions`, where not None, become the
    session's pinned ones. `total_tokens` of the session grow by the sum of the messages' tokens. `hold` is let go.
    `session_created_at` says which session of that id is meant: another one may have the id of one that was purged.
    """

    entry: LedgerEntry
    messages: Sequence[NewMessage] = ()
    instructions: tuple[bytes, ...] | None = None
    hold: Hold | None = None
    session_created_at: datetime | None = None


class Turns(Protocol):
    """Turns and the holds that they have on sessions: part of Store."""

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        """None where `get_session` would say None (and, with `create`, for an id that is taken by another user).

        Locked only if a hold was asked for: another one holds the session, or an earlier ticket waits for it.
        """

    async def queue_turn(self, user_id: str, session_id: str, *, lease: float) -> int | None:
        """A ticket for the session, later than all others for it: from now on nobody without one goes first.

        It lapses after `lease` seconds unless renewed, and ends with its hold. None where `get_session` would say None.
        """

    async def renew_holds(self, holds: Sequence[tuple[str, Hold]], *, lease: float) -> None:
        """Let these holds, and the tickets that wait, last `lease` seconds from now. Each comes with its session's id.

        Called every few seconds as long as the process serves, also with none: stores do their own upkeep then.
        """

    async def release_hold(self, session_id: str, hold: Hold) -> None:
        """Let go of a session, or of the place in its queue, without a turn. Harmless if it is not held."""

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        """Write it all or nothing. Returns the `seq` of the first message appended, 0 if there was none.

        Session counters: `message_count` and `total_tokens` grow (and `failed_count`, if the turn failed), `last_seq`
        follows, `exchange_seq` becomes the seq of the last message of role `user` unless the turn failed or had none,
        `last_message_at` and `updated_at` become the entry's time. A session deleted meanwhile is still written to.
        None if the user has no such session, not even a deleted one: it was purged meanwhile, and its messages with
        it. Then only the ledger row is written; without the session's id and the request's if the user was erased.
        """
