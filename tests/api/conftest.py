"""The application over a store in memory; a test file that wants others overrides `store`."""

from collections.abc import AsyncIterator

import pytest

from gateway.ports import Store
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Person, compose


@pytest.fixture
def store() -> Store:
    return InMemoryStore()


@pytest.fixture
async def gateway(store: Store) -> AsyncIterator[Composed]:
    async with compose(store) as composed:
        yield composed


@pytest.fixture
async def ada(gateway: Composed) -> Person:
    return await gateway.person("ada")


@pytest.fixture
async def bob(gateway: Composed) -> Person:
    return await gateway.person("bob")


@pytest.fixture
async def admin(gateway: Composed) -> Person:
    return await gateway.person("root", admin=True)
