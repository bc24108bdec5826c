"""Session ids that clients choose (`sessions.auto_create`): what was cached for one session never reaches another."""

import dataclasses
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.domain import NewMessage
from gateway.ports import Appending, Store
from gateway.storage.importing import import_sessions
from tests.api.composed import Composed, Person, compose, refusal


@pytest.fixture
async def gateway(store: Store) -> AsyncIterator[Composed]:
    async with compose(store, {"sessions": {"auto_create": True}}) as composed:
        yield composed


def window(gateway: Composed) -> list[str]:
    return [message["content"] for message in gateway.stub.requests[-1].body["messages"]]


async def test_the_next_owner_of_an_id_sees_nothing_of_the_last(
    gateway: Composed, store: Store, ada: Person, bob: Person
) -> None:
    await ada.say("main", "My name is Ada.")
    assert await store.purge_session(ada.user_id, "main")
    await bob.say("main", "Who am I?")
    assert window(gateway) == ["Who am I?"]
    await bob.say("main", "And now?")
    assert len(window(gateway)) == 3


async def test_a_session_that_was_purged_and_begun_anew_remembers_nothing_of_before(
    gateway: Composed, store: Store, ada: Person
) -> None:
    await ada.say("main", "My name is Ada.")
    assert await store.purge_session(ada.user_id, "main")
    await ada.say("main", "Who am I?")
    assert window(gateway) == ["Who am I?"]


async def test_a_session_as_long_under_the_same_id_is_told_apart_too(
    gateway: Composed, store: Store, ada: Person
) -> None:
    await ada.say("main", "My name is Ada.")
    known = await store.get_session(ada.user_id, "main")
    assert known is not None
    # What another process would have made of it: purged, and begun anew with just as many messages.
    assert await store.purge_session(ada.user_id, "main")
    begun = known.created_at + timedelta(seconds=1)
    await store.create_session(
        dataclasses.replace(known, created_at=begun, message_count=0, last_seq=0, exchange_seq=0)
    )
    other = [
        NewMessage("msg_a", "user", b'{"role":"user","content":"My name is Eve."}', 9, "o200k_base"),
        NewMessage("msg_b", "assistant", b'{"role":"assistant","content":"Hello, Eve."}', 9, "o200k_base"),
    ]
    assert await store.add_messages(Appending(ada.user_id, "main", "turn_other", begun, other)) == 1
    await ada.say("main", "Who am I?")
    assert window(gateway) == ["My name is Eve.", "Hello, Eve.", "Who am I?"]


async def test_a_session_that_was_purged_and_imported_with_the_same_times_is_told_apart_too(
    gateway: Composed, store: Store, ada: Person
) -> None:
    def line(name: str, *, times: int) -> bytes:
        said = [{"role": "user", "content": f"My name is {name}."}, {"role": "assistant", "content": f"Hello, {name}."}]
        fields = {"session_id": "main", "user": "ada", "created_at": "2026-01-31T12:00:00Z", "messages": said * times}
        return json.dumps(fields).encode()

    assert [each.messages async for each in import_sessions(store, [line("Ada", times=1)])] == [2]
    await ada.say("main", "Who am I?")
    assert await store.purge_session(ada.user_id, "main")
    assert [each.messages async for each in import_sessions(store, [line("Eve", times=2)])] == [4]  # as long as it was
    await ada.say("main", "Who am I?")
    assert window(gateway) == ["My name is Eve.", "Hello, Eve."] * 2 + ["Who am I?"]


async def test_a_call_that_names_no_model_creates_no_session(ada: Person) -> None:
    refusal(await ada.ask("main", model=None), 404)
    assert (await ada.http.get("/chat/sessions")).json()["data"] == []
