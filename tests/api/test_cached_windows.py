"""A turn reads only what this process has not seen: what is asked of the store at each turn's opening."""

import pytest

from gateway.ports import Locked, OpenedTurn, TurnOpening
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Person


class RecordingStore(InMemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.known: list[int] = []

    async def open_turn(self, opening: TurnOpening) -> OpenedTurn | Locked | None:
        self.known.append(opening.known_seq)
        return await super().open_turn(opening)


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
