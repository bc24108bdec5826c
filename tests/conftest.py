"""What tests of every kind may ask for."""

from collections.abc import Iterator

import pytest

from tests.postgresql import PostgreSQL, running_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with running_server() as server:
        yield server
