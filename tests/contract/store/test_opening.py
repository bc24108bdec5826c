"""What every store promises of a turn's opening."""

import asyncio

import pytest

from gateway.domain import Session, SessionChanges, Status
from gateway.ports import ClosedTurn, Store
from tests.contract.store.values import (
    ALICE,
    BOB,
    at,
    current,
    make_entry,
    make_message,
    make_session,
    make_turn,
    opened,
    opening,
    seqs,
)


async def test_an_empty_session_opens_without_messages(store: Store, session: Session) -> None:
    turn = await opened(store, opening(session))
    assert (turn.session, list(turn.messages), turn.after) == (session, [], 0)


async def test_opening_brings_the_newest_messages_up_to_the_sessions_limit_in_order(store: Store) -> None:
    session = make_session(max_history_messages=4)
    await store.create_session(session)
    for _ in range(4):
        await store.close_turn(make_turn(session))
    assert await seqs(store, opening(session)) == [5, 6, 7, 8]


@pytest.mark.parametrize(("limit", "expected"), [(3, [6, 7, 8]), (100, [1, 2, 3, 4, 5, 6, 7, 8]), (0, [7, 8])])
async def test_the_requests_limit_overrides_the_sessions(
    store: Store, session: Session, limit: int, expected: list[int]
) -> None:
    for _ in range(4):
        await store.close_turn(make_turn(session))
    assert await seqs(store, opening(session, limit=limit)) == expected


async def test_an_opened_message_has_what_a_window_needs(store: Store, session: Session) -> None:
    body = b'{"role":"user","content":"x","extra":1.0}'
    message = make_message(body=body, tokens=11, encoding="cl100k_base")
    await store.close_turn(ClosedTurn(make_entry(session, status=Status.INCOMPLETE), (message,)))
    turn = await opened(store, opening(session))
    (found,) = turn.messages
    assert (found.seq, found.role, found.body) == (1, "user", body)
    assert (found.tokens, found.encoding, found.status) == (11, "cl100k_base", Status.INCOMPLETE)


async def test_the_newest_exchange_comes_whole_even_if_it_is_longer_than_the_limit(
    store: Store, session: Session
) -> None:
    await store.close_turn(make_turn(session))
    await store.close_turn(make_turn(session, "user", "assistant"))
    await store.close_turn(make_turn(session, "tool", "tool", "assistant"))
    assert await seqs(store, opening(session, limit=1)) == [3, 4, 5, 6, 7]


async def test_failed_messages_are_left_out_and_do_not_count(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    await store.close_turn(make_turn(session, "user", status=Status.FAILED))
    await store.close_turn(make_turn(session))
    await store.close_turn(make_turn(session, "user", "user", status=Status.FAILED))
    assert await seqs(store, opening(session, limit=4)) == [1, 2, 4, 5]
    assert await seqs(store, opening(session, limit=3)) == [2, 4, 5]
    assert await seqs(store, opening(session, limit=1)) == [4, 5]


async def test_a_session_without_a_user_message_knows_no_exchange_and_keeps_to_the_limit(
    store: Store, session: Session
) -> None:
    await store.close_turn(make_turn(session, "assistant", "assistant", "assistant"))
    assert (await current(store, session)).exchange_seq == 0
    assert await seqs(store, opening(session, limit=2)) == [2, 3]


async def test_only_messages_after_the_known_ones_are_read_while_the_epoch_holds(
    store: Store, session: Session
) -> None:
    for _ in range(3):
        await store.close_turn(make_turn(session))
    cached = opening(session, known_seq=4, known_epoch=0)
    turn = await opened(store, cached)
    assert (turn.after, [message.seq for message in turn.messages]) == (4, [5, 6])
    assert await seqs(store, opening(session, known_seq=6, known_epoch=0)) == []


async def test_another_epoch_makes_all_that_was_known_worthless(store: Store) -> None:
    session = make_session(epoch=3)
    await store.create_session(session)
    await store.close_turn(make_turn(session))
    turn = await opened(store, opening(session, known_seq=1, known_epoch=2))
    assert (turn.after, [message.seq for message in turn.messages]) == (0, [1, 2])


async def test_an_archived_session_is_opened_for_the_caller_to_refuse(store: Store) -> None:
    session = make_session()
    await store.create_session(session)
    await store.close_turn(make_turn(session))
    await store.update_session(
        ALICE.id, session.id, SessionChanges(frozenset({"archived_at"}), archived_at=at(1)), at(1)
    )
    turn = await opened(store, opening(session))
    assert (turn.session.archived_at, list(turn.messages)) == (at(1), [])


async def test_a_free_id_is_created_for_the_caller_if_asked(store: Store) -> None:
    session = make_session("my-own-id", max_history_messages=5, metadata={"a": 1})
    turn = await opened(store, opening(session, create=session))
    assert (turn.session, list(turn.messages)) == (session, [])
    assert await store.get_session(ALICE.id, "my-own-id") == session


async def test_a_session_that_exists_is_opened_as_it_is_and_not_created_again(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    turn = await opened(store, opening(session, create=make_session(session.id, name="other")))
    assert turn.session == await current(store, session)
    assert turn.session.name is None
    assert [message.seq for message in turn.messages] == [1, 2]


async def test_tasks_that_create_one_id_at_once_all_open_the_same_session(store: Store) -> None:
    candidates = [make_session("shared", name=f"task {number}") for number in range(10)]
    turns = await asyncio.gather(*[opened(store, opening(one, create=one)) for one in candidates])
    assert {turn.session.name for turn in turns} == {(await current(store, candidates[0])).name}


async def test_users_that_create_one_id_at_once_do_not_share_it(store: Store) -> None:
    of_alice, of_bob = make_session("shared"), make_session("shared", BOB)
    turns = await asyncio.gather(*[store.open_turn(opening(one, create=one)) for one in (of_alice, of_bob)])
    assert [turn is not None for turn in turns].count(True) == 1


async def test_a_session_shorter_than_what_is_cached_of_it_is_read_anew(store: Store, session: Session) -> None:
    """As after a restore from a backup: what was cached is no longer there."""
    await store.close_turn(make_turn(session))
    turn = await opened(store, opening(session, known_seq=6, known_epoch=0))
    assert (turn.after, [message.seq for message in turn.messages]) == (0, [1, 2])
