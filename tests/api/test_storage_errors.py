"""A database that does not answer: 503 before the provider is called, and nothing half-written afterwards."""

from collections.abc import Sequence

import pytest

from gateway.domain import ApiKey
from gateway.errors import StorageUnavailable
from gateway.ports import ClosedTurn, Locked, OpenedTurn, TurnOpening
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Json, Person, compose, refusal
from tests.stubs.openai_wire import Json as Whole
from tests.stubs.openai_wire import error as provider_error


class FailingStore(InMemoryStore):
    """Fails the named methods while they are in `down`."""

    def __init__(self) -> None:
        super().__init__()
        self.down: set[str] = set()

    def _check(self, method: str) -> None:
        if method in self.down:
            raise StorageUnavailable

    async def ping(self) -> None:
        self._check("ping")

    async def find_key(self, key_id: str) -> ApiKey | None:
        self._check("find_key")
        return await super().find_key(key_id)

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        self._check("open_turn")
        return await super().open_turn(opening)

    async def close_turn(self, turn: ClosedTurn) -> int | None:
        self._check("close_turn")
        return await super().close_turn(turn)


@pytest.fixture
def store() -> FailingStore:
    return FailingStore()


def unavailable(error: Json) -> bool:
    return (error["type"], error["param"], error["code"]) == ("server_error", None, "storage_unavailable")


@pytest.mark.parametrize("stream", [False, True])
async def test_no_turn_is_begun(gateway: Composed, store: FailingStore, ada: Person, stream: bool) -> None:
    session = await ada.new_session()
    store.down = {"open_turn"}

    response = await ada.ask(session, stream=stream)

    assert unavailable(refusal(response, 503))
    assert int(response.headers["retry-after"]) > 0
    assert gateway.stub.requests == []
    store.down = set()
    assert await ada.messages(session) == []
    assert await gateway.ledger(ada) == []


async def test_nobody_is_let_in_unchecked(gateway: Composed, store: FailingStore, ada: Person) -> None:
    store.down = {"find_key"}
    response = await ada.ask(None)
    assert unavailable(refusal(response, 503))
    assert int(response.headers["retry-after"]) > 0
    assert gateway.stub.requests == []


async def test_a_whole_reply_that_could_not_be_stored_is_not_delivered(
    gateway: Composed, store: FailingStore, ada: Person
) -> None:
    session = await ada.new_session(system_prompt="Be brief.")
    before = await ada.session(session)
    store.down = {"close_turn"}

    response = await ada.ask(session)

    assert unavailable(refusal(response, 503))
    assert "x-history-messages" not in response.headers
    store.down = set()
    assert await ada.session(session) == before
    assert await ada.messages(session) == []
    assert await gateway.ledger(ada) == []


async def test_a_streamed_reply_that_could_not_be_stored_is_never_done(
    gateway: Composed, store: FailingStore, ada: Person
) -> None:
    session = await ada.new_session()
    store.down = {"close_turn"}

    response = await ada.ask(session, stream=True)

    assert response.status_code == 200
    assert "[DONE]" not in response.text
    assert '"code":"storage_unavailable"' in response.text.rstrip().splitlines()[-1]
    store.down = set()
    assert await ada.messages(session) == []
    assert await gateway.ledger(ada) == []


async def test_a_providers_error_is_told_even_if_it_could_not_be_stored(
    gateway: Composed, store: FailingStore, ada: Person
) -> None:
    store.down = {"close_turn"}
    gateway.stub.reply_with(Whole(provider_error("slow down", code="rate_limit_exceeded"), status=429))
    assert refusal(await ada.ask(None), 429)["code"] == "rate_limit_exceeded"


async def test_the_next_turn_goes_on_from_what_is_stored(gateway: Composed, store: FailingStore, ada: Person) -> None:
    session = await ada.new_session()
    await ada.say(session, "one")
    store.down = {"close_turn"}
    await ada.ask(session, "lost")
    store.down = set()

    await ada.say(session, "two")

    window = [message["content"] for message in gateway.stub.requests[-1].body["messages"]]
    assert (len(window), window[0], window[-1]) == (3, "one", "two")
    assert [message["seq"] for message in await ada.messages(session)] == [1, 2, 3, 4]


async def test_readiness_is_the_databases(gateway: Composed, store: FailingStore) -> None:
    client = gateway.client()
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    store.down = {"ping"}
    response = await client.get("/readyz")
    assert unavailable(refusal(response, 503))
    assert (await client.get("/healthz")).json() == {"status": "ok"}


class BuggyStore(InMemoryStore):
    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        raise ZeroDivisionError(f"the secret is 42, not {user_name}")


async def test_a_mistake_of_ours_gives_nothing_away() -> None:
    async with compose(BuggyStore()) as gateway:
        admin = await gateway.person("root", admin=True)
        error = refusal(await admin.http.get("/admin/keys"), 500)
        assert (error["type"], error["code"]) == ("server_error", "internal_error")
        assert "42" not in error["message"]
