"""Runs the jobs of a process beside its turns, from the application's start to its end.

Invariant: a job that fails is logged and taken up again; none outlives `aclose`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from gateway.errors import StorageUnavailable

_PAUSE = 5.0
"""Seconds after which a job that failed is taken up again."""

log = structlog.stdlib.get_logger("gateway")


class Job(Protocol):
    name: str

    async def run(self) -> None:
        """Goes on until it is cancelled."""


class Jobs:
    def __init__(self, jobs: Sequence[Job], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._jobs = jobs
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep_running(job), name=job.name) for job in self._jobs]

    async def aclose(self) -> None:
        """Return when every job has stopped. Closing twice is harmless."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _keep_running(self, job: Job) -> None:
        while True:
            try:
                await job.run()
            except StorageUnavailable:
                log.warning("job put off: the database does not answer", job=job.name)
            except Exception:  # whatever it is, the next look may go well
                log.exception("job failed", job=job.name)
            await self._sleep(_PAUSE)
