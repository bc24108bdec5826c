"""When keys were last used comes to the store: together, even after a failure, and at the end."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from gateway.errors import StorageUnavailable
from gateway.jobs.key_uses import KeyUses
from gateway.jobs.runner import Jobs
from gateway.storage.memory import InMemoryStore
from tests.contract.store.values import at

Uses = Mapping[str, datetime]


class Noting(InMemoryStore):
    """Notes what it is told, and fails as often as it is to."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.noted: list[dict[str, datetime]] = []
        self._failures = failures

    async def note_key_uses(self, uses: Uses) -> None:
        if self._failures:
            self._failures -= 1
            raise StorageUnavailable
        self.noted.append(dict(uses))


class Clockwork:
    """Sleeps that end at once, the given number of times; then one that lasts."""

    def __init__(self, sleeps: int) -> None:
        self.slept: list[float] = []
        self.over = asyncio.Event()
        self._left = sleeps

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self._left:
            self.over.set()
            await asyncio.Event().wait()
        self._left -= 1


async def run(store: Noting, *uses: Uses, sleeps: int) -> Clockwork:
    """The job through so many sleeps, until the application stops it. Each look finds one of the uses, then none."""
    clockwork, waiting = Clockwork(sleeps), iter(uses)
    job = KeyUses(store, lambda: next(waiting, {}), sleep=clockwork.sleep)
    jobs = Jobs([job], sleep=clockwork.sleep)
    jobs.start()
    async with asyncio.timeout(10):
        await clockwork.over.wait()
        await jobs.aclose()
    return clockwork


async def test_uses_are_written_every_half_minute() -> None:
    store = Noting()
    clockwork = await run(store, {"key_1": at(1)}, {"key_1": at(2), "key_2": at(3)}, sleeps=2)
    assert store.noted == [{"key_1": at(1)}, {"key_1": at(2), "key_2": at(3)}]
    assert clockwork.slept == [30, 30, 30]


async def test_where_nothing_was_used_nothing_is_written() -> None:
    store = Noting()
    await run(store, sleeps=3)
    assert store.noted == []


async def test_what_could_not_be_written_is_written_later_with_what_came_since() -> None:
    store = Noting(failures=1)
    await run(store, {"key_1": at(1), "key_2": at(1)}, {"key_1": at(2)}, sleeps=3)  # one of them is the runner's
    assert store.noted == [{"key_1": at(2), "key_2": at(1)}]


async def test_the_last_uses_are_written_at_the_end() -> None:
    store = Noting()
    await run(store, {"key_1": at(1)}, sleeps=0)
    assert store.noted == [{"key_1": at(1)}]


async def test_a_database_that_is_down_at_the_end_holds_nobody_up() -> None:
    store = Noting(failures=1)
    await run(store, {"key_1": at(1)}, sleeps=0)
    assert store.noted == []
