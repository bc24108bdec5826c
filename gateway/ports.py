"""The two seams that have more than one implementation: where turns are kept, and who answers them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from gateway.domain import (
    ApiKey,
    AuditEntry,
    Deployment,
    GroupBy,
    HistoryMessage,
    KeyChanges,
    LedgerEntry,
    NewMessage,
    Rotation,
    SearchHit,
    Session,
    SessionChanges,
    SessionStats,
    Status,
    StoredMessage,
    UsageRow,
    User,
    UserChanges,
)
from gateway.ledger import Activity, ListedTurn, Step, TurnFilter, TurnOrder
from gateway.values import value
from gateway.wire.runs import Run

T = TypeVar("T")


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────


@value
class Page(Generic[T]):
    items: Sequence[T]
    has_more: bool


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


@value
class Appending:
    """Messages that come without a provider's call: no ledger row is written. Otherwise as for ClosedTurn."""

    user_id: str
    session_id: str
    turn_id: str
    created_at: datetime
    messages: Sequence[NewMessage]
    instructions: tuple[bytes, ...] | None = None
    status: Status = Status.COMPLETE
    session_created_at: datetime | None = None


@value
class Cleaning:
    """What retention removes. None for a bound keeps everything."""

    now: datetime
    deleted_before: datetime | None = None
    """Sessions deleted before this are purged."""
    inactive_before: datetime | None = None
    """Sessions whose last message, or creation, was before this are deleted: hidden, to be purged later."""
    ledger_before: datetime | None = None
    """Ledger rows older than this are removed."""
    limit: int = 1000
    """At most so many rows of each kind are removed in one call, so that nobody waits long for its transaction."""


@value
class Cleaned:
    """How many rows one call of `Store.clean` dealt with. A session counts when its last row has gone."""

    purged: int = 0
    deleted: int = 0
    messages: int = 0
    ledger: int = 0

    @property
    def is_done(self) -> bool:
        """True if there was nothing left to do."""
        return not (self.purged or self.deleted or self.messages or self.ledger)


class Store(Protocol):
    """Where users, keys, sessions, messages, the ledger and the audit log are kept.

    Every method is one transaction, and those of a turn one round trip each; opening a turn that creates its session
    may take two. Reads of sessions and messages name the user, and find nothing that is not theirs. Any failure of the
    database is raised as errors.StorageUnavailable, text that cannot be stored (storage/texts.py) as
    errors.InvalidRequest, a caller's mistake (an id used twice, an owner that does not exist) as an adapter's own
    exception; a write that has returned is on disk. An `audit` entry is written in the same transaction, if the
    operation did anything. Methods may be called concurrently from any task of one event loop.
    """

    async def start(self) -> None:
        """Open connections and bring the schema up to date."""

    async def aclose(self) -> None:
        """Finish queued writes and let every connection go. Closing twice is harmless."""

    async def ping(self) -> None:
        """Return if the database answers."""

    def gauges(self) -> Mapping[str, float]:
        """What telemetry/gauges.py tells of a database: always the same names, in any state of the store, at once."""

    # users and keys
    async def has_keys(self) -> bool:
        """True once any key was ever created."""

    async def add_key(self, key: ApiKey, *, audit: AuditEntry | None = None) -> ApiKey:
        """Store a key; its user is found by `key.user.name`, or made with `key.user.id`. Returns it as stored."""

    async def add_first_keys(self, new: Sequence[tuple[ApiKey, AuditEntry]]) -> bool:
        """Store all of these as `add_key` does, unless there was ever a key: then nothing happens.

        Of several processes that start at once on a new database, one is told True.
        """

    async def find_key(self, key_id: str) -> ApiKey | None: ...

    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        """Keys of everyone or of one user, revoked and expired ones too, oldest first."""

    async def revoke_key(self, key_id: str, at: datetime, *, audit: AuditEntry | None = None) -> ApiKey | None:
        """Returns the key as it now is, None if there is none. Revoking twice keeps the first time."""

    async def update_key(self, key_id: str, changes: KeyChanges, *, audit: AuditEntry | None = None) -> ApiKey | None:
        """Returns the key as it now is, None if there is none. What is as it was already leaves no audit entry."""

    async def rotate_key(
        self, key_id: str, rotation: Rotation, *, audit: AuditEntry | None = None
    ) -> tuple[ApiKey, ApiKey] | None:
        """Store a key's successor, and let the key itself expire. Returns the two, the old one first.

        None, and nothing is done, if there is no such key, or it is not usable (any longer) at `rotation.at`. A key
        that was to expire is followed by one that lasts as long.
        """

    async def note_key_uses(self, uses: Mapping[str, datetime]) -> None:
        """By the keys' ids, when each was last used, as far as this process knows: `last_used_at` never moves back.

        A key that is being changed by somebody else may be left out.
        """

    async def add_user(self, user: User, *, audit: AuditEntry | None = None) -> User:
        """The stored user of that name; `user` itself, now stored, if there was none."""

    async def get_user(self, user_id: str) -> User | None: ...

    async def update_user(self, user_id: str, changes: UserChanges, *, audit: AuditEntry | None = None) -> User | None:
        """As update_key. Disabling twice keeps the first time."""

    async def list_users(self, *, limit: int, offset: int) -> Page[User]:
        """In the order of their ids: oldest first."""

    async def erase_user(self, user_id: str, *, audit: AuditEntry | None = None) -> bool:
        """Remove the user, their keys, sessions, messages and search index. False for an unknown one.

        Their ledger rows stay, for the accounts, without the session's id and the request's, which clients can choose.
        """

    # sessions
    async def create_session(self, session: Session) -> None: ...

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        """None for an unknown, a deleted and another user's session alike."""

    async def list_sessions(
        self,
        user_id: str,
        *,
        limit: int,
        offset: int,
        include_archived: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Session]:
        """Newest (`created_at`, then `id`) first, without deleted ones; only those whose metadata has these pairs."""

    async def scan_sessions(self, *, user_id: str | None = None, after: str = "", limit: int) -> Sequence[Session]:
        """Sessions of one user, or of everyone, archived ones too, deleted ones not: in the order of their ids.

        `after`: the id of the last session of the page before. The order is the database's own.
        """

    async def update_session(
        self,
        user_id: str,
        session_id: str,
        changes: SessionChanges,
        at: datetime,
        *,
        audit: AuditEntry | None = None,
    ) -> Session | None: ...

    async def delete_session(
        self, user_id: str, session_id: str, at: datetime, *, audit: AuditEntry | None = None
    ) -> bool:
        """Hide the session from every other method. False where `get_session` would say None."""

    async def purge_session(self, user_id: str, session_id: str, *, audit: AuditEntry | None = None) -> bool:
        """Remove the session, its messages and their search index for good; its ledger rows stay.

        Finds deleted ones too. False for an unknown session and another user's.
        """

    async def session_stats(self, user_id: str, session_id: str) -> SessionStats | None:
        """None where `get_session` would say None.

        Counts the turns of the ledger that left messages in the session. Whether it counts those that left none too,
        failed ones whose request had nothing but instructions, is up to the store.
        """

    # messages
    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        """Oldest first, of every status. None where `get_session` would say None."""

    async def read_messages(
        self, user_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[StoredMessage] | None:
        """The messages that follow the one with seq `after`. Costs the same anywhere in a session."""

    async def add_messages(self, appending: Appending) -> int | None:
        """Append messages as `close_turn` does. Returns the first one's seq, 0 if there was none.

        None where `get_session` would say None. Raises errors.Conflict (`session_archived`).
        """

    # search
    async def search(
        self, user_id: str, query: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[SearchHit]:
        """The user's messages and session titles in which all words of `query` stand, the best first.

        What words are, and that a query is nothing but text, is said in storage/words.py. Everything that was stored
        before the call is found, save after an import of very many messages: those come as `index_messages` goes on.
        """

    async def index_messages(self, *, limit: int) -> int:
        """Add stored messages to the search index, about `limit` of them. Returns how many; 0 if all are in."""

    # turns
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

    async def list_ledger(self, user_id: str, *, limit: int, offset: int) -> Page[LedgerEntry]:
        """Newest first."""

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
        """What the turns from `since` up to, not including, `until` came to: of one user, or of everyone.

        Days and hours are in their order, other groups by cost, then tokens, the largest first. May take long, and
        holds up no turn; reports may wait for each other, but one that `is_urgent`, because a call waits for it, waits
        for none of them. Raises errors.InvalidRequest (`too_many_rows`) if there are more than `limit`.
        """

    async def list_turns(self, chosen: TurnFilter, *, order: TurnOrder, limit: int, offset: int) -> Page[ListedTurn]:
        """Of one user, or of everyone, as `usage`. Newest first is by `created_at`, then `turn_id`."""

    async def activity(self, chosen: TurnFilter, *, step: Step) -> Activity:
        """How turns went over time: of one user, or of everyone, as `usage`."""

    # upkeep
    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        """One batch of retention: removes what is due. None if another process is at it.

        Sessions that have outlived their `ttl_seconds` are purged, whatever the bounds say.
        """

    async def add_audit(self, entry: AuditEntry) -> None: ...

    async def list_audit(self, *, limit: int, offset: int) -> Page[AuditEntry]:
        """Newest (`at`, then `id`) first."""


# ── the provider ─────────────────────────────────────────────────────────────────────────────────────────────────


@value
class ProviderCall:
    """One call of `/chat/completions`, ready to send.

    `messages` is the whole window in fragments of a JSON array, to be joined by commas: each is the wire JSON of one or
    more messages, with commas between them (`wire.json.parse_array` reads them). `params` are the other fields of the
    request that passed the allow-list: never `model`, `messages`, `stream` or `stream_options`, which the adapter sets
    itself (a stream always asks for usage).
    """

    deployment: Deployment
    messages: Sequence[bytes]
    params: Mapping[str, Any]
    request_id: str


@value
class ProviderReply:
    """A whole reply: the bytes for the client, and the same parsed. `headers` are those that may be passed on."""

    body: bytes
    data: Mapping[str, Any]
    headers: Mapping[str, str]


class ProviderStream(Protocol):
    """A reply that arrives in events.

    Iterating yields all events that arrived together, as runs of one or several (`wire.runs`). It ends when the
    provider ended: whether that was in good order is for the reader to see from the finish reasons. It raises as
    `Provider.complete` does, after the runs that came first; an error event is raised as ProviderError.
    """

    headers: Mapping[str, str]

    def __aiter__(self) -> AsyncIterator[Sequence[Run]]: ...

    async def aclose(self) -> None:
        """Let the provider know that nobody listens any more, now. Closing twice is harmless."""


class Provider(Protocol):
    """Calls one kind of upstream. Never retries: retries have one owner, and it is not the adapter.

    Raises errors.ProviderError (the provider said no), ProviderBroken (not reached, or not its protocol) or
    ProviderTimeout. Cancelling a call closes its connection.
    """

    async def complete(self, call: ProviderCall) -> ProviderReply: ...

    async def stream(self, call: ProviderCall) -> ProviderStream:
        """Returns once the provider has answered with a status; raises if that was an error."""

    async def aclose(self) -> None: ...
