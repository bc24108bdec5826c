"""One gateway process and one provider for all tests that need no settings of their own.

A test isolates itself by its user: `person` is a new one each time, and `stub` starts with an empty record.
"""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.conversation import Person
from tests.acceptance.process import GatewayProcess, settings_for
from tests.stubs.openai_wire import OpenAIStub, run_in_thread


class SharedStub(OpenAIStub):
    """A provider that serves one test after the other."""

    def reset(self) -> None:
        self.requests.clear()
        self._script.clear()


@pytest.fixture(scope="session")
def shared_stub() -> Iterator[SharedStub]:
    with run_in_thread(SharedStub()) as stub:
        yield stub


@pytest.fixture
def stub(shared_stub: SharedStub) -> OpenAIStub:
    shared_stub.reset()
    return shared_stub


@pytest.fixture(scope="session")
def gateway(shared_stub: SharedStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), settings_for(shared_stub)) as process:
        yield process


@pytest.fixture(scope="session")
def new_key(gateway: GatewayProcess) -> Iterator[Callable[[str], str]]:
    """Makes keys over HTTP: a process a key would take longer than most tests."""
    with gateway.http(gateway.first_keys["admin"]) as admin:

        def create(name: str) -> str:
            response = admin.post("/admin/keys", json={"user": name})
            assert response.status_code == 201, response.text
            key: str = response.json()["key"]
            return key

        yield create


_NUMBERS = itertools.count(1)


@pytest.fixture
def person(gateway: GatewayProcess, new_key: Callable[[str], str]) -> Iterator[Person]:
    somebody = Person(gateway, new_key(f"person-{next(_NUMBERS)}"))
    yield somebody
    somebody.close()
