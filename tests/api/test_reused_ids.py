"""Session ids that clients choose (`sessions.auto_create`): what was cached for one session never reaches another."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Person, compose, refusal


class PurgingStore(InMemoryStore):
    """A store from which another process may take a session for good, as retention or a restore does."""

    def purge(self, session_id: str) -> None:
        del self._sessions[session_id]
        self._messages.pop(session_id, None)


@pytest.fixture
def store() -> PurgingStore:
    return PurgingStore()


@pytest.fixture
async def gateway(store: PurgingStore) -> AsyncIterator[Composed]:
    async with compose(store, {"sessions": {"auto_create": True}}) as composed:
        yield composed


def window(gateway: Composed) -> list[str]:
    return [message["content"] for message in gateway.stub.requests[-1].body["messages"]]


async def test_the_next_owner_of_an_id_sees_nothing_of_the_last(
    gateway: Composed, store: PurgingStore, ada: Person, bob: Person
) -> None:
    await ada.say("main", "My name is Ada.")
    store.purge("main")
    await bob.say("main", "Who am I?")
    assert window(gateway) == ["Who am I?"]
    await bob.say("main", "And now?")
    assert len(window(gateway)) == 3


async def test_a_session_that_was_purged_and_begun_anew_remembers_nothing_of_before(
    gateway: Composed, store: PurgingStore, ada: Person
) -> None:
    await ada.say("main", "My name is Ada.")
    store.purge("main")
    await ada.say("main", "Who am I?")
    assert window(gateway) == ["Who am I?"]


async def test_a_longer_session_under_the_same_id_is_told_apart_too(
    gateway: Composed, store: PurgingStore, ada: Person
) -> None:
    await ada.say("main", "My name is Ada.")
    known = await store.get_session(ada.user_id, "main")
    assert known is not None
    # The same rows, as another process would have written them for a session created later.
    store._sessions["main"] = replace(known, created_at=known.created_at + timedelta(seconds=1))
    store._messages["main"] = []
    await ada.say("main", "Who am I?")
    assert window(gateway) == ["Who am I?"]


async def test_a_call_that_names_no_model_creates_no_session(ada: Person) -> None:
    refusal(await ada.ask("main", model=None), 404)
    assert (await ada.http.get("/chat/sessions")).json()["data"] == []
