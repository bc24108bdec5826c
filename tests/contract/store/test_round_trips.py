"""A turn asks PostgreSQL once to be opened and once to be closed, as counted on the wire.

A statement is one transaction: neither BEGIN nor COMMIT, nor anything to reset a connection, goes with it.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from gateway.domain import Session, Status
from gateway.ports import ClosedTurn, Hold, OpenedTurn, Store
from gateway.settings import StorageSettings
from gateway.storage.opening import configured_store
from tests import host_tables
from tests.contract.store.kinds import ON_POSTGRESQL
from tests.contract.store.values import make_entry, make_key, make_session, make_turn, opening, started
from tests.relay import Relay, relaying

Work = Callable[[Store, Session], Coroutine[Any, Any, Any]]

HOLD = Hold("turn_1")


@pytest.fixture
async def relay(url: str) -> AsyncIterator[Relay]:
    async with relaying(url) as relay:
        yield relay


def store_at(relay: Relay, kind: str, *, statement_cache_size: int) -> Store:
    """With one connection, so that whatever is to be prepared is so after one call of its kind."""
    tables = {"schema": "external", "tables": host_tables.TABLES} if kind == "external" else {}
    options = {"pool_size": 1, "statement_cache_size": statement_cache_size, "timeout": 60}
    return configured_store(StorageSettings.model_validate({"url": relay.url, **options, **tables}))


async def open_held(store: Store, session: Session) -> None:
    assert isinstance(await store.open_turn(opening(session, hold=HOLD)), OpenedTurn)


async def open_cached(store: Store, session: Session) -> None:
    found = await store.open_turn(opening(session, hold=HOLD, known_seq=2, known_epoch=0))
    assert isinstance(found, OpenedTurn)
    assert found.after == 2


async def open_or_create(store: Store, session: Session) -> None:
    assert isinstance(await store.open_turn(opening(session, hold=HOLD, create=session)), OpenedTurn)


async def create(store: Store, _: Session) -> None:
    new = make_session(name="Named, and to be indexed")
    assert await store.open_turn(opening(new, hold=HOLD, create=new)) == OpenedTurn(new, (), 0)


async def read_only(store: Store, session: Session) -> None:
    assert isinstance(await store.open_turn(opening(session)), OpenedTurn)


async def close(store: Store, session: Session) -> None:
    assert await store.close_turn(make_turn(session, hold=HOLD))


async def close_after_waiting(store: Store, session: Session) -> None:
    assert await store.close_turn(make_turn(session, hold=Hold("turn_1", ticket=1)))


async def close_pinning(store: Store, session: Session) -> None:
    assert await store.close_turn(make_turn(session, hold=HOLD, instructions=(b'{"role":"system"}',)))


async def close_failed(store: Store, session: Session) -> None:
    assert await store.close_turn(make_turn(session, "user", status=Status.FAILED, hold=HOLD))


async def close_stateless(store: Store, _: Session) -> None:
    assert await store.close_turn(ClosedTurn(make_entry())) == 0


WORKS: list[Work] = [
    open_held,
    open_cached,
    open_or_create,
    create,
    read_only,
    close,
    close_after_waiting,
    close_pinning,
    close_failed,
    close_stateless,
]


@pytest.mark.parametrize("kind", ON_POSTGRESQL, indirect=True)
@pytest.mark.parametrize(("statement_cache_size", "trips"), [(100, 1), (0, 2)])
async def test_every_part_of_a_turn_is_one_statement_and_one_round_trip(
    relay: Relay, kind: str, statement_cache_size: int, trips: int
) -> None:
    """With nothing kept prepared the driver first asks what the statement takes, and sends the values then."""
    async with started(lambda: store_at(relay, kind, statement_cache_size=statement_cache_size)) as store:
        await store.add_key(make_key())
        session = make_session()
        await store.create_session(session)
        await store.close_turn(make_turn(session))
        counted = {}
        for work in WORKS:
            await work(store, session)  # the driver prepares it, and looks up types that it meets for the first time
            relay.take()
            await work(store, session)
            traffic = relay.take()
            counted[work.__name__] = (len(traffic.asked), traffic.done, traffic.trips)
    assert counted == {work.__name__: (1, 1, trips) for work in WORKS}
