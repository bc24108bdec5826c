"""The runner of jobs: all of them run, one that fails is taken up again, and none outlives its end."""

import asyncio

import pytest
import structlog

from gateway.errors import StorageUnavailable
from gateway.jobs.runner import Jobs


class Clock:
    """Sleeps that last until they are told, and a record of how long they were to be."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._wake = asyncio.Event()
        self._asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._asleep.set()
        await self._wake.wait()
        self._wake.clear()

    async def until_asleep(self) -> None:
        await asyncio.wait_for(self._asleep.wait(), 5)
        self._asleep.clear()

    def wake(self) -> None:
        self._wake.set()


class FakeJob:
    """Fails as often as it has failures, then goes on until it is stopped."""

    def __init__(self, name: str, *failures: Exception) -> None:
        self.name = name
        self._failures = list(failures)
        self.runs = 0
        self.running = asyncio.Event()
        self.stopped = False

    async def run(self) -> None:
        self.runs += 1
        if self._failures:
            raise self._failures.pop(0)
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True


async def test_all_jobs_run_until_they_are_stopped() -> None:
    first, second = FakeJob("first"), FakeJob("second")
    jobs = Jobs([first, second])
    jobs.start()
    for job in (first, second):
        await asyncio.wait_for(job.running.wait(), 5)
        assert not job.stopped

    await jobs.aclose()

    assert first.stopped
    assert second.stopped
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await jobs.aclose()


@pytest.mark.parametrize(
    ("failure", "level", "event"),
    [
        (ZeroDivisionError("no"), "error", "job failed"),
        (StorageUnavailable(), "warning", "job put off: the database does not answer"),
    ],
)
async def test_a_job_that_fails_is_taken_up_again(failure: Exception, level: str, event: str) -> None:
    clock, job, other = Clock(), FakeJob("failing", failure), FakeJob("other")
    jobs = Jobs([job, other], sleep=clock.sleep)
    with structlog.testing.capture_logs() as logs:
        jobs.start()
        await clock.until_asleep()
        assert job.runs == 1
        clock.wake()
        await asyncio.wait_for(job.running.wait(), 5)

    assert (job.runs, other.runs) == (2, 1)
    assert clock.slept == [5.0]
    [line] = logs
    assert (line["log_level"], line["event"], line["job"]) == (level, event, "failing")
    assert ("exc_info" in line) == (level == "error")
    await jobs.aclose()


async def test_jobs_that_wait_to_be_taken_up_again_are_stopped_too() -> None:
    clock = Clock()
    jobs = Jobs([FakeJob("failing", StorageUnavailable())], sleep=clock.sleep)
    jobs.start()
    await clock.until_asleep()
    await jobs.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_jobs_that_never_began_end() -> None:
    await Jobs([FakeJob("one")]).aclose()
