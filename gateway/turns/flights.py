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

    __slots__ = ("_flights", "_landing", "is_waiting", "on_delay", "reason", "task")

    task: asyncio.Task[T]

    def __init__(self, flights: "set[Flight[Any]]") -> None:
        """`flights`: those of the process, which it is in while it lasts."""
        self.reason: GatewayError | None = None
        """Why it is, or will be, cut short."""
        self.is_waiting = False
        self.on_delay: Callable[[], None] | None = None
        """Is told that the turn has to wait before it can begin; perhaps more than once."""
        self._flights = flights
        self._landing: asyncio.Future[None] | None = None

    def start(self, run: "Callable[[Flight[T]], Coroutine[object, object, T]]") -> None:
        self.task = asyncio.create_task(run(self))
        self.task.add_done_callback(self._land)
        self._flights.add(self)

    async def landed(self) -> T:
        """The turn's result, or what it raised, for the one who waits for it. Cancelling the wait leaves it alone."""
        # asyncio.shield does the same, by way of three more callbacks.
        if not self.task.done():
            self._landing = asyncio.get_running_loop().create_future()
            await self._landing
        return self.task.result()

    def _land(self, task: asyncio.Task[T]) -> None:
        self._flights.discard(self)
        if self._landing is None:
            return
        if not task.cancelled():
            task.exception()  # seen: whoever waits may be cancelled before they run, and asyncio would complain
        if not self._landing.done():
            self._landing.set_result(None)

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
        flight: Flight[T] = Flight(self._flights)
        flight.start(run)
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
