"""Indexing: batches while there is something to index, with pauses for the turns, then a longer wait."""

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

    async def index_messages(self, *, limit: int) -> int:
        done = min(limit, self.left)
        self.left -= done
        self.batches.append(done)
        return done


async def test_batches_follow_each_other_until_all_is_indexed() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 6:
            raise SleptEnough

    store = UnindexedStore(450)
    with pytest.raises(SleptEnough):
        await Indexing(store, sleep=sleep).run()

    assert store.batches == [200, 200, 50, 0, 0, 0]
    pause, idle = slept[0], slept[-1]
    assert 0 < pause < 1 < idle
    assert slept == [pause] * 3 + [idle] * 3
