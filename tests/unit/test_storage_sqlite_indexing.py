"""Indexing in SQLite while sessions change: what came between reading and writing is not forgotten."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import Session, SessionChanges
from gateway.storage.sqlite import SqliteStore, indexing
from tests.contract.store.values import ALICE, add_texts, at, hits, make_key, make_session


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(f"sqlite:///{tmp_path}/gateway.db")
    await store.start()
    await store.add_key(make_key())
    yield store
    await store.aclose()


@pytest.fixture
async def session(store: SqliteStore) -> Session:
    session = make_session(name="old")
    await store.create_session(session)
    await add_texts(store, session, "first")
    return session


async def read(store: SqliteStore) -> list[indexing.Lacking]:
    return await store._lanes.read(lambda connection: indexing.read_lacking(connection, user_id=None, limit=100))


async def write(store: SqliteStore, lacking: Sequence[indexing.Lacking]) -> None:
    await store._lanes.write(lambda connection: indexing.write(connection, indexed=indexing.words_for(lacking)))


async def queue(store: SqliteStore) -> list[Any]:
    return await store._lanes.read(lambda connection: connection.execute("SELECT * FROM search_queue").fetchall())


async def test_a_session_leaves_the_queue_once_all_of_it_is_written(store: SqliteStore, session: Session) -> None:
    assert [row[:2] for row in await queue(store)] == [(session.id, ALICE.id)]
    await write(store, await read(store))
    assert await queue(store) == []
    assert await hits(store, "old") == [(session.id, 0)]


async def test_messages_of_a_session_that_is_queued_leave_the_queue_as_it_is(
    store: SqliteStore, session: Session
) -> None:
    before = await queue(store)
    await add_texts(store, session, "second")
    assert await queue(store) == before


async def test_a_message_that_came_after_the_others_were_read_is_found(store: SqliteStore, session: Session) -> None:
    lacking = await read(store)
    await add_texts(store, session, "second")
    await write(store, lacking)
    assert await hits(store, "second") == [(session.id, 2)]


async def test_a_message_that_came_after_a_faster_indexer_is_found(store: SqliteStore, session: Session) -> None:
    lacking = await read(store)
    await write(store, lacking)
    await add_texts(store, session, "second")
    await write(store, lacking)
    assert await hits(store, "second") == [(session.id, 2)]


async def test_a_title_that_was_given_after_the_old_one_was_read_is_found(store: SqliteStore, session: Session) -> None:
    lacking = await read(store)
    await store.update_session(ALICE.id, session.id, SessionChanges(frozenset({"name"}), name="new"), at(1))
    await write(store, lacking)
    assert await hits(store, "new") == [(session.id, 0)]
    assert await hits(store, "old") == []


async def test_a_session_made_anew_as_it_was_is_found_by_its_new_title(store: SqliteStore, session: Session) -> None:
    """With as many messages, and the same time of creation, which an import restores."""
    lacking = await read(store)
    await store.purge_session(ALICE.id, session.id)
    await store.create_session(make_session(session.id, name="new", created_at=session.created_at))
    await add_texts(store, session, "first")
    await write(store, lacking)
    assert await hits(store, "new") == [(session.id, 0)]
