"""What every store promises of messages that come without a provider's call."""

from dataclasses import replace

import pytest

from gateway.domain import Session, SessionChanges, Status, StoredMessage
from gateway.errors import Conflict
from gateway.ports import ClosedTurn, Store
from gateway.storage.errors import ConstraintViolated
from tests.contract.store.values import (
    ALICE,
    at,
    current,
    ledger_of,
    make_appending,
    make_entry,
    make_message,
    make_turn,
    messages,
    opened,
    opening,
)


async def test_added_messages_count_as_a_turns_and_leave_no_ledger_row(store: Store, session: Session) -> None:
    pinned = (b'{"role":"system","content":"be brief"}',)
    said = (make_message(tokens=3), make_message("assistant", tokens=4), make_message(tokens=5))
    added = make_appending(session, *said, created_at=at(8), instructions=pinned)
    assert await store.add_messages(added) == 1
    assert await current(store, session) == replace(
        session,
        message_count=3,
        total_tokens=12,
        last_seq=3,
        exchange_seq=3,
        instructions=pinned,
        last_message_at=at(8),
        updated_at=at(8),
    )
    assert await ledger_of(store) == []


async def test_an_added_message_comes_back_with_every_field(store: Store, session: Session) -> None:
    message = make_message("tool", latency_ms=1.5, ttft_ms=0.25, model="fast", metadata={"a": [1, None]})
    added = make_appending(session, message, created_at=at(3), status=Status.INCOMPLETE)
    await store.add_messages(added)
    expected = StoredMessage(
        message.id,
        1,
        added.turn_id,
        "tool",
        message.body,
        message.tokens,
        Status.INCOMPLETE,
        at(3),
        1.5,
        0.25,
        "fast",
        {"a": [1, None]},
    )
    assert await messages(store, session) == [expected]


async def test_added_messages_follow_those_of_turns_and_the_other_way_round(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    assert await store.add_messages(make_appending(session, make_message(), make_message("assistant"))) == 3
    assert await store.close_turn(make_turn(session)) == 5
    assert [message.seq for message in (await opened(store, opening(session))).messages] == [1, 2, 3, 4, 5, 6]


async def test_adding_no_message_says_seq_0(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    assert await store.add_messages(make_appending(session)) == 0
    assert (await current(store, session)).last_seq == 2


async def test_failed_messages_are_added_and_never_injected(store: Store, session: Session) -> None:
    await store.add_messages(make_appending(session, make_message(), status=Status.FAILED))
    assert (await current(store, session)).failed_count == 1
    assert list((await opened(store, opening(session))).messages) == []


async def test_an_archived_session_takes_none(store: Store, session: Session) -> None:
    changes = SessionChanges(frozenset({"archived_at"}), archived_at=at(1))
    archived = await store.update_session(ALICE.id, session.id, changes, at(1))
    with pytest.raises(Conflict) as caught:
        await store.add_messages(make_appending(session, make_message()))
    assert caught.value.code == "session_archived"
    assert await current(store, session) == archived
    assert await messages(store, session) == []


async def test_a_messages_id_is_used_once_in_a_session(store: Store, session: Session) -> None:
    message = make_message()
    await store.close_turn(ClosedTurn(make_entry(session), (message,)))
    before = await current(store, session)
    for again in ((message,), (make_message(), message), (replace(message, id="msg_x"),) * 2):
        with pytest.raises(ConstraintViolated):
            await store.add_messages(make_appending(session, *again))
    assert await current(store, session) == before
    assert [stored.id for stored in await messages(store, session)] == [message.id]
