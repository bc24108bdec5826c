"""Turns in flight: each in a task of its own, which ends when the turn is stored and not when its client leaves.

A flight can be interrupted (the client hung up, the server is stopping) only while it waits: for its session or
for the provider. Never while it writes.
"""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, TypeVar

from gateway.errors import GatewayError, ShuttingDown

T = TypeVar("T")

_GRACE = 3.0
"""Seconds that interrupted turns get to store what they have."""


class Interrupted(Exception):
    """The wait was ended by `Flight.interrupt`; `reason` says why."""

    def __init__(self, reason: GatewayError) -> None:
        super().__init__(reason.message)
        self.reason = reason


class Flight(Generic[T]):
    """One turn and its task."""

    task: asyncio.Task[T]

    def __init__(self) -> None:
        self.reason: GatewayError | None = None
        """Why it is, or will be, cut short."""
        self.is_waiting = False
        self.on_delay: Callable[[], None] | None = None
        """Is told that the turn has to wait before it can begin; perhaps more than once."""

    def interrupt(self, reason: GatewayError) -> None:
        """End the turn's wait, now or when it next begins one. The first reason counts."""
        if self.reason is None:
            self.reason = reason
            if self.is_waiting:
                self.task.cancel()

    def delay(self) -> None:
        if self.on_delay is not None:
            self.on_delay()

    def waiting(self) -> "_Wait":
        """Marks a stretch (`async with`) that may be cut short. Raises Interrupted if it was."""
        return _Wait(self)


class _Wait:
    """A class and no generator: this is entered for every call of a provider, and a generator costs thrice as much."""

    __slots__ = ("_cancellations", "_flight")

    def __init__(self, flight: Flight[Any]) -> None:
        self._flight = flight

    async def __aenter__(self) -> None:
        flight = self._flight
        if flight.reason is not None:
            raise Interrupted(flight.reason)
        flight.is_waiting = True
        self._cancellations = flight.task.cancelling()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flight = self._flight
        flight.is_waiting = False
        if isinstance(error, asyncio.CancelledError):
            # Others may have cancelled the task too: that is more than an interruption, and goes on.
            if flight.reason is None or flight.task.uncancel() > self._cancellations:
                return
            raise Interrupted(flight.reason) from None


class Flights:
    """All turns of this process, strongly referenced: asyncio itself keeps only weak references to tasks."""

    def __init__(self) -> None:
        self._flights: set[Flight[Any]] = set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._flights)

    def launch(self, run: Callable[[Flight[T]], Coroutine[object, object, T]]) -> Flight[T]:
        """Start a turn. Raises ShuttingDown once `drain` was called."""
        if self._stopping:
            raise ShuttingDown
        flight: Flight[T] = Flight()
        flight.task = asyncio.create_task(run(flight))
        self._flights.add(flight)
        flight.task.add_done_callback(lambda _: self._flights.discard(flight))
        return flight

    async def drain(self, seconds: float) -> None:
        """Take no new turns; interrupt those that still run after `seconds`, and have them store what they have."""
        self._stopping = True
        await self._wait(seconds)
        for flight in tuple(self._flights):
            flight.interrupt(ShuttingDown())
        await self._wait(_GRACE)

    async def _wait(self, seconds: float) -> None:
        if tasks := [flight.task for flight in self._flights]:
            await asyncio.wait(tasks, timeout=seconds)
