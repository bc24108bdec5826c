"""The order of turns on a session within one process: first come, first served. Nothing is kept of an empty queue."""

import asyncio
import heapq
from collections.abc import Iterator


class Place:
    """A turn's place in the queue of its session. Whoever joined must leave, whatever became of the wait."""

    __slots__ = ("_reached",)

    def __init__(self, *, is_first: bool) -> None:
        self._reached = None if is_first else asyncio.get_running_loop().create_future()

    @property
    def is_first(self) -> bool:
        """True if there was nobody to wait for."""
        return self._reached is None

    async def reach(self) -> None:
        """Return when all turns before it have left. May be cancelled."""
        if self._reached is not None:
            await self._reached

    def call(self) -> None:
        if self._reached is not None and not self._reached.done():
            self._reached.set_result(None)


class Queue:
    """The turns of this process on one session, and the store's tickets that were taken for them.

    Tickets are the queue's and no single turn's: the first turn goes by the lowest. Were each to keep its own, a turn
    could wait for the ticket of one that waits for it.
    """

    __slots__ = ("places", "tickets")

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.tickets: list[int] = []
        """Those that no turn goes by yet: a heap."""

    def add(self, ticket: int) -> None:
        heapq.heappush(self.tickets, ticket)

    def lowest(self, ticket: int | None) -> int | None:
        """What the first turn is to go by, if it went by `ticket` so far; None if no ticket was taken."""
        if ticket is not None:
            return heapq.heappushpop(self.tickets, ticket)
        return heapq.heappop(self.tickets) if self.tickets else None

    def give_back(self, place: Place) -> int | None:
        """The ticket that is not needed if a turn leaves that has not come first: its own. Nobody is moved up."""
        behind = len(self.places) - 1 - self.places.index(place)
        self.tickets.sort()  # which is a heap, too
        return self.tickets.pop(max(0, len(self.tickets) - 1 - behind)) if self.tickets else None


Key = tuple[str, str]
"""The user's id and the session's: nobody can hold up another's session."""


class SessionQueues:
    """Queues by key."""

    def __init__(self) -> None:
        self._queues: dict[Key, Queue] = {}

    def __len__(self) -> int:
        """How many sessions have a turn."""
        return len(self._queues)

    def items(self) -> Iterator[tuple[Key, Queue]]:
        """The queues of sessions that have a turn."""
        yield from self._queues.items()

    def join(self, key: Key) -> tuple[Queue, Place]:
        """Take the last place. Not a coroutine: turns are in order from the moment that they join."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue()
        place = Place(is_first=not queue.places)
        queue.places.append(place)
        return queue, place

    def leave(self, key: Key, place: Place) -> None:
        places = self._queues[key].places
        places.remove(place)
        if places:
            places[0].call()
        else:
            del self._queues[key]
