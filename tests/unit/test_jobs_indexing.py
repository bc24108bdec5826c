"""Indexing: batches while there is something to index, with rests for the turns, then a longer wait."""

import pytest

from gateway.jobs.indexing import Indexing
from gateway.storage.memory import InMemoryStore


class SleptEnough(Exception):
    """Ends a job, which otherwise goes on for ever."""


class UnindexedStore(InMemoryStore):
    def __init__(self, messages: int) -> None:
        super().__init__()
        self.left = messages
        self.batches: list[int] = []
        self.now = 0.0

    async def index_messages(self, *, limit: int) -> int:
        done = min(limit, self.left)
        self.left -= done
        self.batches.append(done)
        self.now += done / 1000
        return done


async def test_batches_follow_each_other_after_rests_until_all_is_indexed() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 6:
            raise SleptEnough

    store = UnindexedStore(450)
    with pytest.raises(SleptEnough):
        await Indexing(store, sleep=sleep, clock=lambda: store.now).run()

    assert store.batches == [200, 200, 50, 0, 0, 0]
    assert slept == pytest.approx([1.8, 1.8, 0.45, 5.0, 5.0, 5.0])
