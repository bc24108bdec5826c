"""A store of every kind, and what most tests need in it."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.domain import Session
from gateway.ports import Store
from tests import host_tables
from tests.contract.store.kinds import KINDS, ON_POSTGRESQL, MigratedFile
from tests.contract.store.values import (
    ALICE,
    BOB,
    make_key,
    make_session,
)
from tests.postgresql import PostgreSQL


@pytest.fixture(scope="module")
def migrated() -> Iterator[MigratedFile]:
    file = MigratedFile()
    yield file
    file.remove()


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, migrated: MigratedFile, tmp_path: Path) -> Iterator[str]:
    """Of a database of that kind without rows. PostgreSQL is started only if one is asked for."""
    if kind not in ON_POSTGRESQL:
        yield migrated.copy_to(tmp_path)
        return
    server = request.getfixturevalue("postgresql")
    assert isinstance(server, PostgreSQL)
    with server.emptied_database(*(host_tables.DDL if kind == "external" else ())) as url:
        yield url


@pytest.fixture
def make_store(kind: str, url: str) -> Callable[[], Store]:
    """Makes stores, not yet started, all on one database if the kind has such a thing."""
    return lambda: KINDS[kind](url)


@pytest.fixture
async def empty(make_store: Callable[[], Store]) -> AsyncIterator[Store]:
    store = make_store()
    await store.start()
    yield store
    await store.aclose()


@pytest.fixture
async def store(empty: Store) -> Store:
    """A store with two users, each with a key."""
    await empty.add_key(make_key("key_1", ALICE))
    await empty.add_key(make_key("key_2", BOB))
    return empty


@pytest.fixture
async def session(store: Store) -> Session:
    """A session of Alice's without messages."""
    created = make_session("sess_1")
    await store.create_session(created)
    return created
