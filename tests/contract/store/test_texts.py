"""What every store promises about texts that break careless code.

Bodies are JSON and survive byte for byte. Any other text is a value like any: stored as it is, or, with a NUL or half
a surrogate pair, which not every database can hold, refused by every store alike, and found by none.
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import Session, SessionChanges, User
from gateway.errors import InvalidRequest
from gateway.ports import ClosedTurn, Hold, Store
from tests.contract.store.calls import FINDING_NOTHING
from tests.contract.store.values import (
    ALICE,
    at,
    current,
    hits,
    ledger_of,
    make_appending,
    make_audit,
    make_entry,
    make_key,
    make_message,
    make_session,
    messages,
    opened,
    opening,
)

BODIES = {
    "a NUL escape": rb'{"role":"user","content":"a\u0000b"}',
    "a megabyte": b'{"role":"user","content":"' + b"x" * 1_000_000 + b'"}',
    "emoji": '{"role":"user","content":"👩‍👩‍👧‍👦 🏴󠁧󠁢󠁷󠁬󠁳󠁿"}'.encode(),
    "right to left": '{"role":"user","content":"\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u202c"}'.encode(),
    "quotes": rb"""{"role":"user","content":"it's \"quoted\" \\ `so`"}""",
    "SQL": b"""{"role":"user","content":"'; DROP TABLE messages; -- :id ? $1 %s"}""",
    "an escaped lone surrogate": rb'{"role":"user","content":"\ud800"}',
    "odd spacing and numbers": b' {"role" :"user",\n"n":1.0e0, "n": 10000000000000000000000 }\t',
    "noncharacters": '{"role":"user","content":"\ufffe\uffff\U0010ffff\u0085\u2028"}'.encode(),
}

ODD = [
    "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁷󠁬󠁳󠁿",
    "\u202e\u05e9\u05dc\u05d5\u05dd",
    "'; DROP TABLE sessions; --",
    '"%s\\ :id ? $1 {0}',
    "\\u0000 \\\\u0000 \\x00",
    "\x01\x7f\r\n\t\u0085\u2028\ufeff\uffff\U0010ffff",
    "e\u0301 is not \u00e9",
    " leading and trailing ",
    "",
    "x" * 1_000_000,
]

UNSTORABLE = ["\0", "a\0b", "a\ud800"]


def _shown(text: str) -> str:
    return ascii(text[:30])


@pytest.mark.parametrize("what", BODIES)
async def test_every_byte_of_a_message_survives(store: Store, session: Session, what: str) -> None:
    body = BODIES[what]
    await store.close_turn(ClosedTurn(make_entry(session), (make_message(body=body),), instructions=(body, body)))
    await store.add_messages(make_appending(session, make_message(body=body)))
    turn = await opened(store, opening(session))
    assert [message.body for message in turn.messages] == [body, body]
    assert [message.body for message in await messages(store, session)] == [body, body]
    assert turn.session.instructions == (body, body)
    assert await hits(store, "nothing of it") == []


@pytest.mark.parametrize("text", ODD, ids=_shown)
async def test_texts_are_only_ever_values(store: Store, text: str) -> None:
    user = User(f"user {text}"[:1000], f"name {text}"[:1000])  # databases index no more than a page of text
    key = make_key("key_odd", user, name=text)
    assert await store.add_key(key) == key
    assert await store.list_keys(user_name=user.name) == [key]
    session = make_session(
        f"id {text}"[:1000], user, name=text, model=text, metadata={text: text, "deep": [{"x": text}]}
    )
    await store.create_session(session)
    assert await store.get_session(user.id, session.id) == session
    assert (await store.list_sessions(user.id, limit=10, offset=0)).items == [session]
    message = make_message(id=f"msg {text}"[:1000], model=text, metadata={text: [text]})
    entry = make_entry(session, user, model=text, error_code=text, finish_reason=text)
    await store.close_turn(ClosedTurn(entry, (message,)))
    (stored,) = await messages(store, session)
    assert (stored.id, stored.model, stored.metadata) == (message.id, text, {text: [text]})
    assert await ledger_of(store, user.id) == [entry]
    audit = make_audit(target=text, details={text: text})
    await store.add_audit(audit)
    assert (await store.list_audit(limit=10, offset=0)).items == [audit]


async def test_texts_that_look_alike_are_not_the_same(store: Store) -> None:
    ids = ["e\u0301", "\u00e9", "E\u0301", "e", "e ", "ｅ"]  # noqa: RUF001 - that is the point
    for session_id in ids:
        await store.create_session(make_session(session_id))
    for session_id in ids:
        found = await store.get_session(ALICE.id, session_id)
        assert found is not None
        assert found.id == session_id


def _update(**fields: Any) -> SessionChanges:
    return SessionChanges(frozenset(fields), **fields)


WRITES: dict[str, Callable[[Store, Session, str], Coroutine[Any, Any, Any]]] = {
    "add_user, name": lambda store, _, bad: store.add_user(User("user_x", bad)),
    "add_user, id": lambda store, _, bad: store.add_user(User(bad, "x")),
    "add_key, id": lambda store, _, bad: store.add_key(make_key(bad)),
    "add_key, name": lambda store, _, bad: store.add_key(make_key("key_x", name=bad)),
    "add_key, user": lambda store, _, bad: store.add_key(make_key("key_x", User("user_x", bad))),
    "add_key, audit": lambda store, _, bad: store.add_key(make_key("key_x"), audit=make_audit(request_id=bad)),
    "create_session, id": lambda store, _, bad: store.create_session(make_session(bad)),
    "create_session, name": lambda store, _, bad: store.create_session(make_session("x", name=bad)),
    "create_session, model": lambda store, _, bad: store.create_session(make_session("x", model=bad)),
    "create_session, metadata's key": lambda store, _, bad: store.create_session(make_session("x", metadata={bad: 1})),
    "create_session, metadata": lambda store, _, bad: store.create_session(
        make_session("x", metadata={"a": [{"b": bad}]})
    ),
    "open_turn, create's id": lambda store, _, bad: store.open_turn(
        opening(make_session(bad), create=make_session(bad))
    ),
    "open_turn, create's model": lambda store, _, bad: store.open_turn(
        opening(make_session("x"), create=make_session("x", model=bad))
    ),
    "update_session, name": lambda store, session, bad: store.update_session(
        ALICE.id, session.id, _update(name=bad), at(1)
    ),
    "update_session, metadata": lambda store, session, bad: store.update_session(
        ALICE.id, session.id, _update(metadata={"a": bad}), at(1)
    ),
    "close_turn, model": lambda store, session, bad: store.close_turn(ClosedTurn(make_entry(session, model=bad))),
    "close_turn, error code": lambda store, _, bad: store.close_turn(ClosedTurn(make_entry(error_code=bad))),
    "close_turn, finish reason": lambda store, _, bad: store.close_turn(ClosedTurn(make_entry(finish_reason=bad))),
    "close_turn, request id": lambda store, _, bad: store.close_turn(ClosedTurn(make_entry(request_id=bad))),
    "close_turn, message's id": lambda store, session, bad: store.close_turn(
        ClosedTurn(make_entry(session), (make_message(), make_message(id=bad)))
    ),
    "close_turn, message's metadata": lambda store, session, bad: store.close_turn(
        ClosedTurn(make_entry(session), (make_message(metadata={"a": bad}),))
    ),
    "add_messages, role": lambda store, session, bad: store.add_messages(make_appending(session, make_message(bad))),
    "add_messages, model": lambda store, session, bad: store.add_messages(
        make_appending(session, make_message(), make_message(model=bad))
    ),
    "add_messages, turn's id": lambda store, session, bad: store.add_messages(
        make_appending(session, make_message(), turn_id=bad)
    ),
    "add_audit, target": lambda store, _, bad: store.add_audit(make_audit(target=bad)),
    "add_audit, details": lambda store, _, bad: store.add_audit(make_audit(details={"a": bad})),
}


async def everything(store: Store, session: Session) -> list[Any]:
    return [
        await current(store, session),
        await messages(store, session),
        await store.list_users(limit=10, offset=0),
        await store.list_keys(),
        await store.list_sessions(ALICE.id, limit=10, offset=0),
        await ledger_of(store),
        await store.list_audit(limit=10, offset=0),
    ]


@pytest.mark.parametrize("bad", UNSTORABLE, ids=_shown)
@pytest.mark.parametrize("write", WRITES)
async def test_what_cannot_be_stored_is_refused_and_leaves_nothing(
    store: Store, session: Session, write: str, bad: str
) -> None:
    before = await everything(store, session)
    with pytest.raises(InvalidRequest):
        await WRITES[write](store, session, bad)
    assert await everything(store, session) == before


@pytest.mark.parametrize("metadata", [{"a": {1, 2}}, {1: "a"}, {"a": 2**64}, {"a": b"bytes"}], ids=repr)
async def test_metadata_that_is_not_json_is_refused(store: Store, metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await store.create_session(make_session(metadata=metadata))


# Creating the id instead is a write, and refused.
LOOKING = [name for name in FINDING_NOTHING if name != "open_turn with create"]


@pytest.mark.parametrize("bad", UNSTORABLE, ids=_shown)
@pytest.mark.parametrize("method", LOOKING)
async def test_a_session_that_cannot_be_is_not_found(store: Store, session: Session, method: str, bad: str) -> None:
    call, nothing = FINDING_NOTHING[method]
    before = await everything(store, session)
    assert await call(store, ALICE.id, bad) == nothing
    assert await call(store, bad, session.id) == nothing
    assert await everything(store, session) == before


@pytest.mark.parametrize("bad", UNSTORABLE, ids=_shown)
async def test_nothing_is_found_by_what_cannot_be_stored(store: Store, session: Session, bad: str) -> None:
    assert await store.find_key(bad) is None
    assert await store.revoke_key(bad, at(1)) is None
    assert await store.erase_user(bad) is False
    for found in (
        await store.list_keys(user_name=bad),
        await store.scan_sessions(user_id=bad, limit=10),
        (await store.list_sessions(bad, limit=10, offset=0)).items,
        await ledger_of(store, bad),
        (await store.search(bad, "x", limit=10, offset=0)).items,
    ):
        assert list(found) == []
    await store.release_hold(bad, Hold("hold_1"))
    await store.renew_holds([(bad, Hold("hold_1", ticket=1))], lease=30)
    assert await current(store, session) == session


async def test_a_refused_turn_lets_its_neighbours_be_written(store: Store, session: Session) -> None:
    """They may share a transaction."""
    good = ClosedTurn(make_entry(session), (make_message(),))
    bad = replace(good, entry=make_entry(session, model="\0"))
    with pytest.raises(InvalidRequest):
        await store.close_turn(bad)
    assert await store.close_turn(good) == 1
