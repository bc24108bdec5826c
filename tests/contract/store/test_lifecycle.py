"""What every store promises about being opened and closed."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.domain import ApiKey, Session
from gateway.errors import StorageUnavailable
from gateway.ports import Store
from tests.contract.store.calls import ANY_CALL
from tests.contract.store.kinds import DURABLE
from tests.contract.store.values import (
    add_texts,
    hits,
    ledger_of,
    make_audit,
    make_key,
    make_session,
    make_turn,
    opening,
)


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_what_was_written_is_there_after_the_store_was_closed_and_opened_again(
    make_store: Callable[[], Store],
) -> None:
    session = make_session()
    turn = make_turn(session, instructions=(b'{"role":"system","content":"x"}',))
    first = make_store()
    await first.start()
    key = await first.add_key(make_key())
    await first.create_session(session)
    await first.close_turn(turn)
    await first.add_audit(audit := make_audit())
    await add_texts(first, session, "remember the ferry")
    before = await first.open_turn(opening(session))
    await first.aclose()

    second = make_store()
    await second.start()
    assert await second.find_key(key.id) == key
    assert await second.open_turn(opening(session)) == before
    assert await ledger_of(second) == [turn.entry]
    assert (await second.list_audit(limit=10, offset=0)).items == [audit]
    assert await hits(second, "ferry") == [(session.id, 3)]
    await second.aclose()


async def test_an_open_store_answers_a_ping(store: Store) -> None:
    await store.ping()


@pytest.mark.parametrize("method", ANY_CALL)
async def test_a_closed_store_is_unavailable(store: Store, method: str) -> None:
    await store.aclose()
    with pytest.raises(StorageUnavailable):
        await ANY_CALL[method](store)


async def test_closing_twice_is_harmless(store: Store) -> None:
    await store.aclose()
    await store.aclose()


async def test_closing_finishes_the_writes_that_wait(store: Store, session: Session) -> None:
    writes = [asyncio.create_task(store.close_turn(make_turn(session))) for _ in range(20)]
    await asyncio.sleep(0)  # lets every task hand its work in, and no outcome come back
    await store.aclose()
    assert set(await asyncio.gather(*writes)) == set(range(1, 41, 2))


async def test_a_store_may_be_closed_by_another_task_than_started_it(make_store: Callable[[], Store]) -> None:
    store = make_store()
    await asyncio.create_task(store.start())
    added = await asyncio.create_task(store.add_key(make_key()))
    assert isinstance(added, ApiKey)
    await asyncio.create_task(store.aclose())
    with pytest.raises(StorageUnavailable):
        await store.ping()
