"""What every store promises about texts that break careless code."""

import pytest

from gateway.domain import Session, User
from gateway.ports import ClosedTurn, Store
from tests.contract.store.values import (
    ALICE,
    make_entry,
    make_key,
    make_message,
    make_session,
    messages,
    opening,
)

HOSTILE = {
    "a NUL escape": rb'{"role":"user","content":"a\u0000b"}',
    "a megabyte": b'{"role":"user","content":"' + b"x" * 1_000_000 + b'"}',
    "emoji": '{"role":"user","content":"👩‍👩‍👧‍👦 🏴󠁧󠁢󠁷󠁬󠁳󠁿"}'.encode(),
    "right to left": '{"role":"user","content":"\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u202c"}'.encode(),
    "quotes": rb"""{"role":"user","content":"it's \"quoted\" \\ `so`"}""",
    "SQL": b"""{"role":"user","content":"'; DROP TABLE messages; -- :id ? $1 %s"}""",
    "an escaped lone surrogate": rb'{"role":"user","content":"\ud800"}',
    "odd spacing and numbers": b' {"role" :"user",\n"n":1.0e0, "n": 10000000000000000000000 }\t',
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_every_byte_of_a_message_survives(store: Store, session: Session, what: str) -> None:
    body = HOSTILE[what]
    await store.close_turn(ClosedTurn(make_entry(session), (make_message(body=body),), instructions=(body, body)))
    opened = await store.open_turn(opening(session))
    assert opened is not None
    assert [message.body for message in opened.messages] == [body]
    assert [message.body for message in await messages(store, session)] == [body]
    assert opened.session.instructions == (body, body)


@pytest.mark.parametrize(
    "text", ["a\0b", "👩‍👩‍👧‍👦", "\u202e\u05e9\u05dc\u05d5\u05dd", "'; DROP TABLE sessions; --", '"%s\\', ""]
)
async def test_names_ids_and_metadata_are_only_ever_values(store: Store, text: str) -> None:
    session = make_session(f"id {text}", name=text, model=text, metadata={text: text})
    await store.create_session(session)
    assert await store.get_session(ALICE.id, session.id) == session
    user = User(f"user {text}", f"name {text}")
    await store.add_key(make_key("key_hostile", user, name=text))
    assert await store.list_keys(user_name=user.name) == [make_key("key_hostile", user, name=text)]
