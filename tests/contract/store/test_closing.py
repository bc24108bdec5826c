"""What every store promises of a turn's closing, and of the ledger."""

import asyncio
from dataclasses import replace

import pytest

from gateway.domain import LedgerEntry, Session, Status, StoredMessage, Usage
from gateway.ports import ClosedTurn, Hold, Store
from gateway.storage.errors import ConstraintViolated
from tests.contract.store.values import (
    ALICE,
    BOB,
    at,
    current,
    ledger_of,
    make_entry,
    make_message,
    make_session,
    make_turn,
    messages,
    opening,
)


async def test_a_stateless_turn_leaves_a_ledger_row_and_nothing_else(store: Store, session: Session) -> None:
    entry = make_entry()
    assert await store.close_turn(ClosedTurn(entry)) == 0
    assert await ledger_of(store) == [entry]
    assert await current(store, session) == session


async def test_a_turn_makes_the_sessions_counters_grow(store: Store, session: Session) -> None:
    sent, reply = make_message(tokens=3), make_message("assistant", tokens=4)
    assert await store.close_turn(ClosedTurn(make_entry(session, created_at=at(8)), (sent, reply))) == 1
    expected = replace(
        session,
        message_count=2,
        total_tokens=7,
        last_seq=2,
        exchange_seq=1,
        last_message_at=at(8),
        updated_at=at(8),
    )
    assert await current(store, session) == expected
    assert await store.close_turn(make_turn(session)) == 3


async def test_a_failed_turn_counts_but_starts_no_exchange(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    assert await store.close_turn(make_turn(session, "user", status=Status.FAILED)) == 3
    found = await current(store, session)
    assert (found.message_count, found.failed_count, found.total_tokens) == (3, 1, 15)
    assert (found.last_seq, found.exchange_seq) == (3, 1)
    assert [message.status for message in await messages(store, session)][2] is Status.FAILED


async def test_an_incomplete_turn_is_an_exchange_like_another(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session, status=Status.INCOMPLETE))
    found = await current(store, session)
    assert (found.failed_count, found.exchange_seq) == (0, 1)
    assert {message.status for message in await messages(store, session)} == {Status.INCOMPLETE}


async def test_the_last_user_message_of_a_turn_starts_the_newest_exchange(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session, "user", "assistant", "user", "assistant"))
    assert (await current(store, session)).exchange_seq == 3
    await store.close_turn(make_turn(session, "tool", "assistant"))
    assert (await current(store, session)).exchange_seq == 3


async def test_a_turns_instructions_become_the_sessions_and_none_leave_them(store: Store, session: Session) -> None:
    pinned = (b'{"role":"system","content":"be brief"}',)
    await store.close_turn(make_turn(session, instructions=pinned))
    assert (await current(store, session)).instructions == pinned
    await store.close_turn(make_turn(session))
    assert (await current(store, session)).instructions == pinned
    await store.close_turn(make_turn(session, instructions=()))
    assert (await current(store, session)).instructions == ()


async def test_a_message_is_listed_with_every_field(store: Store, session: Session) -> None:
    bare = make_message()
    full = make_message("assistant", latency_ms=812.5, ttft_ms=0.25, model="gpt-4o-mini", metadata={"a": [1]})
    entry = make_entry(session, created_at=at(3))
    await store.close_turn(ClosedTurn(entry, (bare, full)))
    first, second = await messages(store, session)
    assert first == StoredMessage(bare.id, 1, entry.turn_id, "user", bare.body, bare.tokens, Status.COMPLETE, at(3))
    assert (second.latency_ms, second.ttft_ms, second.model, second.metadata) == (
        812.5,
        0.25,
        "gpt-4o-mini",
        {"a": [1]},
    )


async def test_a_session_deleted_meanwhile_is_still_written_to(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    await store.delete_session(ALICE.id, session.id, at(1))
    assert await store.close_turn(make_turn(session)) == 3
    assert await store.get_session(ALICE.id, session.id) is None


async def test_fifty_turns_closed_at_once_get_seqs_without_gap_or_double(store: Store, session: Session) -> None:
    turns = [make_turn(session) for _ in range(50)]
    firsts = await asyncio.gather(*[store.close_turn(turn) for turn in turns])
    assert set(firsts) == set(range(1, 101, 2))
    stored = await messages(store, session)
    assert [message.seq for message in stored] == list(range(1, 101))
    by_id = {message.id: message.seq for message in stored}
    for turn, first in zip(turns, firsts, strict=True):
        one, other = [by_id[message.id] for message in turn.messages]
        assert (one, other) == (first, one + 1)
    found = await current(store, session)
    assert (found.message_count, found.last_seq, found.total_tokens) == (100, 100, 500)


async def refused(store: Store, turn: ClosedTurn) -> None:
    with pytest.raises(ConstraintViolated):
        await store.close_turn(turn)


async def test_a_turn_with_one_bad_message_leaves_nothing_and_its_neighbours_stay(
    store: Store, session: Session
) -> None:
    taken = make_message(id="msg_taken")
    await store.close_turn(ClosedTurn(make_entry(session), (taken,)))
    bad = ClosedTurn(
        make_entry(session), (make_message(), taken), instructions=(b'{"role":"system","content":"never"}',)
    )
    neighbours = [make_turn(session) for _ in range(6)]
    await asyncio.gather(
        *[store.close_turn(turn) for turn in neighbours[:3]],
        refused(store, bad),
        *[store.close_turn(turn) for turn in neighbours[3:]],
    )
    stored = await messages(store, session)
    expected = {"msg_taken"} | {message.id for turn in neighbours for message in turn.messages}
    assert {message.id for message in stored} == expected
    assert [message.seq for message in stored] == list(range(1, 14))
    found = await current(store, session)
    assert (found.message_count, found.last_seq, found.instructions) == (13, 13, ())
    ledger = await ledger_of(store)
    assert bad.entry.turn_id not in {entry.turn_id for entry in ledger}
    assert len(ledger) == 7


async def test_one_turn_cannot_bring_the_same_message_twice(store: Store, session: Session) -> None:
    message = make_message()
    await refused(store, ClosedTurn(make_entry(session), (message, message)))
    assert await current(store, session) == session


async def test_a_turn_is_stored_once(store: Store, session: Session) -> None:
    turn = make_turn(session)
    await store.close_turn(turn)
    before = await current(store, session)
    await refused(store, replace(turn, messages=(make_message(),)))
    assert await current(store, session) == before


async def test_a_turn_of_a_session_that_its_user_does_not_have_leaves_its_ledger_row_alone(
    store: Store, session: Session
) -> None:
    """It was purged while the provider worked, and somebody else may have its id since."""
    of_bob = replace(make_turn(session), entry=make_entry(session, BOB))
    unknown = make_turn(make_session("sess_unknown"))
    assert await store.close_turn(of_bob) is None
    assert await store.close_turn(unknown) is None
    assert await current(store, session) == session
    assert await messages(store, session) == []
    for user, turn in ((ALICE, unknown), (BOB, of_bob)):
        assert await ledger_of(store, user.id) == [turn.entry]


async def test_a_turn_of_a_session_purged_meanwhile_leaves_its_ledger_row_alone(store: Store, session: Session) -> None:
    hold = Hold("hold_1")
    await store.open_turn(opening(session, hold=hold))
    await store.purge_session(ALICE.id, session.id)
    turn = make_turn(session, hold=hold)
    assert await store.close_turn(turn) is None
    assert await store.get_session(ALICE.id, session.id) is None
    assert await ledger_of(store) == [turn.entry]


async def test_a_turn_without_messages_says_seq_0_and_still_counts_as_activity(store: Store, session: Session) -> None:
    assert await store.close_turn(ClosedTurn(make_entry(session, created_at=at(8)))) == 0
    assert await current(store, session) == replace(session, last_message_at=at(8), updated_at=at(8))


async def test_a_ledger_entry_comes_back_with_every_field(store: Store, session: Session) -> None:
    entry = LedgerEntry(
        turn_id="turn_1",
        request_id="req_9",
        user_id=ALICE.id,
        key_id="key_1",
        session_id=session.id,
        model="fast",
        provider="openai",
        provider_model="gpt-4o-mini",
        stream=True,
        status=Status.INCOMPLETE,
        created_at=at(1.000001),
        usage=Usage(10, 20, 3, 4, estimated=True),
        cost=0.0000125,
        finish_reason="length",
        error_status=502,
        error_code="provider_unavailable",
        latency_ms=1234.5,
        ttft_ms=99.125,
        overhead_ms=1.75,
        history_messages=6,
        history_tokens=600,
        history_trimmed=2,
        deployment="east",
    )
    await store.close_turn(ClosedTurn(entry))
    assert await ledger_of(store) == [entry]
