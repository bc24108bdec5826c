"""The two seams that have more than one implementation: where turns are kept, and who answers them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from gateway.domain import (
    ApiKey,
    Deployment,
    HistoryMessage,
    LedgerEntry,
    NewMessage,
    Session,
    SessionChanges,
    StoredMessage,
)

T = TypeVar("T")


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    has_more: bool


@dataclass(frozen=True, slots=True)
class TurnOpening:
    """What is asked of the store at the start of a turn.

    `known_seq` and `known_epoch` say what this process has cached of the session: only newer messages are read, unless
    the epoch has changed. `limit` overrides the session's own `max_history_messages`. `create` is the session to
    make if the id is free (`sessions.auto_create`); its owner is the caller.
    """

    user_id: str
    session_id: str
    limit: int | None = None
    known_seq: int = 0
    known_epoch: int = -1
    create: Session | None = None


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """The session, and its newest injectable messages (`status` not failed) in the order of `seq`.

    `messages` holds those with `seq > after`, at most max(limit, length of the newest exchange) of them: the newest.
    `after` is the opening's `known_seq`, or 0 if its epoch is not the session's or the session is not that long.
    """

    session: Session
    messages: Sequence[HistoryMessage]
    after: int


@dataclass(frozen=True, slots=True)
class ClosedTurn:
    """Everything that a turn leaves behind. With `entry.session_id` None (stateless) only the ledger row is written.

    `messages` are appended in order, all with the status of the entry. `instructions`, where not None, become the
    session's pinned ones. `total_tokens` of the session grow by the sum of the messages' tokens.
    """

    entry: LedgerEntry
    messages: Sequence[NewMessage] = ()
    instructions: tuple[bytes, ...] | None = None


class Store(Protocol):
    """Where users, keys, sessions, messages and the ledger are kept.

    Every method is one round trip and one transaction; opening a turn that creates its session may take two. Reads of
    sessions and messages name the user, and find nothing that is not theirs. Any failure of the database is raised as
    errors.StorageUnavailable, a caller's mistake (an id used twice, an owner that does not exist) as an adapter's own
    exception; a write that has returned is on disk. Methods may be called concurrently from any task of one event loop.
    """

    async def start(self) -> None:
        """Open connections and bring the schema up to date."""

    async def aclose(self) -> None:
        """Finish queued writes and let every connection go. Closing twice is harmless."""

    async def ping(self) -> None:
        """Return if the database answers."""

    # users and keys
    async def has_keys(self) -> bool:
        """True once any key was ever created."""

    async def add_key(self, key: ApiKey) -> ApiKey:
        """Store a key; its user is found by `key.user.name`, or made with `key.user.id`. Returns it as stored."""

    async def find_key(self, key_id: str) -> ApiKey | None: ...

    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        """Keys of everyone or of one user, revoked and expired ones too, oldest first."""

    async def revoke_key(self, key_id: str, at: datetime) -> ApiKey | None:
        """Returns the key as it now is, None if there is none. Revoking twice keeps the first time."""

    # sessions
    async def create_session(self, session: Session) -> None: ...

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        """None for an unknown, a deleted and another user's session alike."""

    async def list_sessions(
        self, user_id: str, *, limit: int, offset: int, include_archived: bool = False
    ) -> Page[Session]:
        """Newest (`created_at`, then `id`) first, without deleted ones."""

    async def update_session(
        self, user_id: str, session_id: str, changes: SessionChanges, at: datetime
    ) -> Session | None: ...

    async def delete_session(self, user_id: str, session_id: str, at: datetime) -> bool:
        """Hide the session from every other method. False where `get_session` would say None."""

    async def list_messages(
        self, user_id: str, session_id: str, *, limit: int, offset: int
    ) -> Page[StoredMessage] | None:
        """Oldest first, of every status. None where `get_session` would say None."""

    # turns
    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | None:
        """None where `get_session` would say None (and, with `create`, for an id that is taken by another user)."""

    async def close_turn(self, turn: ClosedTurn) -> int:
        """Write it all or nothing. Returns the `seq` of the first message appended, 0 if there was none.

        Session counters: `message_count` and `total_tokens` grow (and `failed_count`, if the turn failed), `last_seq`
        follows, `exchange_seq` becomes the seq of the last message of role `user` unless the turn failed or had none,
        `last_message_at` and `updated_at` become the entry's time. A session deleted meanwhile is still written to.
        """

    async def list_ledger(self, user_id: str, *, limit: int, offset: int) -> Page[LedgerEntry]:
        """Newest first."""


# ── the provider ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """One call of `/chat/completions`, ready to send.

    `messages` is the whole window, each message as wire JSON. `params` are the other fields of the request that passed
    the allow-list: never `model`, `messages`, `stream` or `stream_options`, which the adapter sets itself (a stream
    always asks for usage).
    """

    deployment: Deployment
    messages: Sequence[bytes]
    params: Mapping[str, Any]
    request_id: str


@dataclass(frozen=True, slots=True)
class ProviderReply:
    """A whole reply: the bytes for the client, and the same parsed. `headers` are those that may be passed on."""

    body: bytes
    data: Mapping[str, Any]
    headers: Mapping[str, str]


class ProviderStream(Protocol):
    """A reply that arrives in events.

    Iterating yields groups of events, each as the JSON of one `data:` field (without the prefix, never `[DONE]`), as
    many as arrived together. It ends when the provider ended: whether that was in good order is for the reader to see
    from the finish reasons. It raises as `Provider.complete` does; an error event is raised as ProviderError.
    """

    headers: Mapping[str, str]

    def __aiter__(self) -> AsyncIterator[Sequence[bytes]]: ...

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
