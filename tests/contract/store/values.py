"""Values to store, with everything that a test does not care about filled in."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from gateway.domain import (
    ApiKey,
    AuditEntry,
    LedgerEntry,
    NewMessage,
    Scope,
    Session,
    Status,
    StoredMessage,
    Usage,
    User,
)
from gateway.ids import new_audit_id, new_message_id, new_session_id, new_turn_id
from gateway.ledger import TurnFilter, TurnOrder
from gateway.ports import Appending, ClosedTurn, OpenedTurn, Store, TurnOpening

START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

ALICE = User("user_alice", "alice")
BOB = User("user_bob", "bob")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def make_key(key_id: str = "key_1", user: User = ALICE, **fields: Any) -> ApiKey:
    given: dict[str, Any] = {
        "name": None,
        "scopes": frozenset({Scope.USER}),
        "hash": bytes(range(32)),
        "created_at": START,
        **fields,
    }
    return ApiKey(id=key_id, user=user, **given)


def make_session(session_id: str | None = None, user: User = ALICE, **fields: Any) -> Session:
    given: dict[str, Any] = {
        "name": None,
        "model": None,
        "max_history_messages": 20,
        "instructions": (),
        "metadata": {},
        "created_at": START,
        "updated_at": START,
        **fields,
    }
    return Session(id=session_id or new_session_id(), user_id=user.id, **given)


def make_message(role: str = "user", body: bytes = b'{"role":"user","content":"hi"}', **fields: Any) -> NewMessage:
    given: dict[str, Any] = {"id": new_message_id(), "tokens": 5, "encoding": "o200k_base", **fields}
    return NewMessage(role=role, body=body, **given)


def make_text(text: str, role: str = "user", **fields: Any) -> NewMessage:
    """A message that says `text`."""
    return make_message(role, orjson.dumps({"role": role, "content": text}), **fields)


def make_entry(session: Session | None = None, user: User = ALICE, **fields: Any) -> LedgerEntry:
    given: dict[str, Any] = {
        "turn_id": new_turn_id(),
        "request_id": "req_1",
        "key_id": "key_1",
        "model": "fast",
        "provider": "openai",
        "provider_model": "gpt-4o-mini",
        "stream": False,
        "status": Status.COMPLETE,
        "created_at": START,
        "usage": Usage(prompt_tokens=7, completion_tokens=3),
        **fields,
    }
    return LedgerEntry(user_id=user.id, session_id=session.id if session else None, **given)


def make_turn(session: Session, *roles: str, status: Status = Status.COMPLETE, **fields: Any) -> ClosedTurn:
    """A turn of one message a role, of a user and an assistant if none are named."""
    messages = tuple([make_message(role) for role in roles or ("user", "assistant")])
    user = User(session.user_id, "")
    return ClosedTurn(make_entry(session, user, status=status), messages, **fields)


def make_appending(session: Session, *said: NewMessage, **fields: Any) -> Appending:
    given: dict[str, Any] = {"turn_id": new_turn_id(), "created_at": START, **fields}
    return Appending(user_id=session.user_id, session_id=session.id, messages=said, **given)


def make_audit(audit_id: str | None = None, **fields: Any) -> AuditEntry:
    given: dict[str, Any] = {"at": START, "action": "session.purge", "target": "sess_1", **fields}
    return AuditEntry(id=audit_id or new_audit_id(), **given)


def opening(session: Session, **fields: Any) -> TurnOpening:
    return TurnOpening(session.user_id, session.id, **fields)


async def seqs(store: Store, asked: TurnOpening) -> list[int]:
    """Of the messages that opening a turn brings."""
    return [message.seq for message in (await opened(store, asked)).messages]


async def opened(store: Store, asked: TurnOpening) -> OpenedTurn:
    found = await store.open_turn(asked)
    assert isinstance(found, OpenedTurn)
    return found


async def current(store: Store, session: Session) -> Session:
    found = await store.get_session(session.user_id, session.id)
    assert found is not None
    return found


async def messages(store: Store, session: Session, limit: int = 1000) -> list[StoredMessage]:
    found = await store.list_messages(session.user_id, session.id, limit=limit, offset=0)
    assert found is not None
    return list(found.items)


async def ledger_of(store: Store, user_id: str = ALICE.id) -> list[LedgerEntry]:
    """All rows of the user's, newest first."""
    ever = TurnFilter(datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC), user_id=user_id)
    found = await store.list_turns(ever, order=TurnOrder.NEWEST, limit=1000, offset=0)
    return [turn.entry for turn in found.items]


async def add_texts(store: Store, session: Session, *texts: str) -> None:
    """One message each, appended at once."""
    await store.add_messages(make_appending(session, *[make_text(text) for text in texts]))


async def hits(store: Store, query: str, user: User = ALICE, **fields: Any) -> list[tuple[str, int]]:
    """Session and seq of what a search finds; seq 0 stands for the title."""
    found = await store.search(user.id, query, **{"limit": 100, "offset": 0, **fields})
    return [(hit.session_id, hit.seq) for hit in found.items]


async def actions(store: Store) -> list[str]:
    """Of the audit log, newest first."""
    return [entry.action for entry in (await store.list_audit(limit=100, offset=0)).items]


@asynccontextmanager
async def started(make_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """Another store on the same database."""
    store = make_store()
    await store.start()
    try:
        yield store
    finally:
        await store.aclose()
