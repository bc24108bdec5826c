"""What every store promises of removing a session for good."""

from gateway.domain import Session, SessionChanges
from gateway.ports import ClosedTurn, Store
from tests.contract.store.values import (
    ALICE,
    BOB,
    add_texts,
    at,
    current,
    hits,
    ledger_of,
    make_entry,
    make_session,
    make_text,
    make_turn,
    messages,
    opened,
    opening,
)


async def test_a_purged_session_is_gone_with_its_messages_and_the_ledger_stays(store: Store, session: Session) -> None:
    turn = make_turn(session)
    await store.close_turn(turn)
    assert await store.purge_session(ALICE.id, session.id) is True
    assert await store.get_session(ALICE.id, session.id) is None
    assert await store.list_messages(ALICE.id, session.id, limit=10, offset=0) is None
    assert await ledger_of(store) == [turn.entry]


async def test_purging_finds_deleted_and_archived_sessions(store: Store, session: Session) -> None:
    archived = make_session("sess_2", archived_at=at(1))
    await store.create_session(archived)
    await store.delete_session(ALICE.id, session.id, at(1))
    for one in (session, archived):
        assert await store.purge_session(ALICE.id, one.id) is True
        assert await store.purge_session(ALICE.id, one.id) is False
        await store.create_session(one)


async def test_a_deleted_sessions_id_stays_taken(store: Store, session: Session) -> None:
    await store.delete_session(ALICE.id, session.id, at(1))
    assert await store.open_turn(opening(session, create=session)) is None


async def test_somebody_elses_deleted_session_is_not_purged(store: Store, session: Session) -> None:
    await store.delete_session(ALICE.id, session.id, at(1))
    assert await store.purge_session(BOB.id, session.id) is False
    assert await store.purge_session(ALICE.id, session.id) is True


async def test_purging_one_session_leaves_the_others(store: Store, session: Session) -> None:
    other = make_session("sess_2")
    await store.create_session(other)
    await store.close_turn(make_turn(other))
    await add_texts(store, other, "word")
    before = await current(store, other), await messages(store, other)
    await store.purge_session(ALICE.id, session.id)
    assert (await current(store, other), await messages(store, other)) == before
    assert await hits(store, "word") == [("sess_2", 3)]


async def test_the_id_of_a_purged_session_may_be_used_again_and_so_may_its_messages(
    store: Store, session: Session
) -> None:
    message = make_text("hello")
    await store.close_turn(ClosedTurn(make_entry(session), (message,)))
    await store.purge_session(ALICE.id, session.id)
    await store.create_session(session)
    turn = await opened(store, opening(session))
    assert (turn.session, list(turn.messages)) == (session, [])
    assert await store.close_turn(ClosedTurn(make_entry(session), (message,))) == 1
    assert [stored.id for stored in await messages(store, session)] == [message.id]
    assert await hits(store, "hello") == [(session.id, 1)]


async def test_an_archived_session_is_read_and_changed_and_comes_back(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    before = await messages(store, session)
    archive = SessionChanges(frozenset({"archived_at"}), archived_at=at(5))
    await store.update_session(ALICE.id, session.id, archive, at(5))
    assert (await current(store, session)).archived_at == at(5)
    assert await messages(store, session) == before
    await store.update_session(ALICE.id, session.id, SessionChanges(frozenset({"archived_at"})), at(6))
    assert [message.seq for message in (await opened(store, opening(session))).messages] == [1, 2]
    assert await store.close_turn(make_turn(session)) == 3


async def test_a_turn_that_ran_while_its_session_was_archived_is_still_stored(store: Store, session: Session) -> None:
    archive = SessionChanges(frozenset({"archived_at"}), archived_at=at(5))
    await store.update_session(ALICE.id, session.id, archive, at(5))
    assert await store.close_turn(make_turn(session)) == 1


async def test_a_turn_of_a_purged_session_is_not_stored_in_another_one_of_its_id(
    store: Store, session: Session
) -> None:
    turn = make_turn(session, session_created_at=session.created_at)
    await store.purge_session(ALICE.id, session.id)
    again = make_session(session.id, created_at=at(1), updated_at=at(1))
    await store.create_session(again)
    assert await store.close_turn(turn) is None
    assert await current(store, again) == again
    assert await messages(store, again) == []
    assert await ledger_of(store) == [turn.entry]
    assert await store.close_turn(make_turn(again, session_created_at=again.created_at)) == 1
