"""What tests of every kind may ask for."""

from collections.abc import Iterator

import pytest

from tests.postgresql import PostgreSQL, running_server
from tests.redis_server import RedisServer, running_redis


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Shared by all tests: whoever stops it starts it again."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server
