"""A turn reads only what this process has not seen: what is asked of the store at each turn's opening."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.domain import NewMessage
from gateway.ids import new_message_id, new_turn_id
from gateway.ports import Appending, Locked, OpenedTurn, TurnOpening
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Person

Meanwhile = Callable[[], Coroutine[Any, Any, object]]


class RecordingStore(InMemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.known: list[int] = []
        self.meanwhile: Meanwhile | None = None
        """Is done once, right after a turn has been opened."""

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        self.known.append(opening.known_seq)
        opened = await super().open_turn(opening)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return opened


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


async def test_each_turn_asks_for_what_came_after_the_last(
    gateway: Composed, store: RecordingStore, ada: Person
) -> None:
    session = await ada.new_session()
    for _ in range(3):
        await ada.say(session)
    assert store.known == [0, 2, 4]
    assert len(gateway.stub.requests[-1].body["messages"]) == 5


async def test_a_wider_limit_than_is_cached_reads_anew(gateway: Composed, store: RecordingStore, ada: Person) -> None:
    session = await ada.new_session(max_history_messages=2)
    for _ in range(3):
        await ada.say(session)
    store.known.clear()
    await ada.say(session, max_history_messages=6)
    assert store.known == [6, 0]
    assert len(gateway.stub.requests[-1].body["messages"]) == 7


async def test_a_limit_that_is_lowered_while_more_is_read_hides_nothing_for_good(
    gateway: Composed, store: RecordingStore, ada: Person
) -> None:
    session = await ada.new_session(max_history_messages=2)
    url = f"/chat/sessions/{session}"
    for _ in range(6):
        await ada.say(session)
    await ada.http.patch(url, json={"max_history_messages": 20})
    store.meanwhile = lambda: ada.http.patch(url, json={"max_history_messages": 3})
    await ada.say(session)
    await ada.http.patch(url, json={"max_history_messages": 20})
    await ada.say(session)
    assert len(gateway.stub.requests[-1].body["messages"]) == 15


async def test_an_answer_to_what_was_cached_as_plain_text_has_the_session_read_anew(
    gateway: Composed, store: RecordingStore, ada: Person
) -> None:
    session = await ada.new_session()
    await ada.say(session)
    answer = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
    await ada.say(session, messages=[answer, {"role": "user", "content": "And now?"}])
    await ada.say(session)
    assert store.known == [0, 2, 0]
    assert len(gateway.stub.requests[-1].body["messages"]) == 5  # no call asks for the answer


async def test_what_another_writer_adds_may_have_the_session_read_anew(
    gateway: Composed, store: RecordingStore, ada: Person
) -> None:
    session = await ada.new_session()
    await ada.say(session)
    body = b'{"role":"tool","tool_call_id":"call_1","content":"42"}'
    new = NewMessage(new_message_id(), "tool", body, 1, "o200k_base")
    appending = Appending(ada.user_id, session, new_turn_id(), datetime.now(UTC), [new])
    assert await store.add_messages(appending) == 3
    await ada.say(session)
    await ada.say(session)
    assert store.known == [0, 2, 0, 5]
    assert len(gateway.stub.requests[-1].body["messages"]) == 5
