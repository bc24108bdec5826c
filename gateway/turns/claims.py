"""One turn at a time on a session, in the order they arrived, on one machine or many.

Turns of one process queue in memory (queues.py), and only the first of them asks the store, where those of all
processes meet. Who has to wait takes a ticket there, so that whoever arrives later, and wherever, goes later.

Invariant: what the store holds for a turn is let go of by closing the turn or by `release_hold`; should neither get
through, it lapses, because this process no longer renews it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from gateway.errors import Conflict, StorageUnavailable
from gateway.ids import ulid
from gateway.ports import Hold, Store
from gateway.turns.flights import Flight, Interrupted
from gateway.turns.queues import Key, Place, Queue, SessionQueues

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05
"""Seconds between two looks at a session that another process holds."""


class Claim:
    """A turn's claim on its session. `hold` is what to tell the store when the turn is opened and when it is closed."""

    def __init__(self, key: Key, queue: Queue, place: Place, flight: Flight[Any], deadline: float) -> None:
        self.key = key
        self.queue = queue
        self.place = place
        self.flight = flight
        self.deadline = deadline
        self.pause = _FIRST_PAUSE
        self.hold = Hold(ulid())
        self.is_held = False
        """Whether the store may hold the session for this turn: true as soon as it was asked to."""

    def settle(self) -> None:
        """The turn is closed, and the store has let go of everything."""
        self.is_held = False
        if self.hold.ticket is not None:
            self.hold = replace(self.hold, ticket=None)


class Claims:
    """All claims of this process."""

    def __init__(
        self,
        store: Store,
        *,
        timeout: float,
        lease: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`timeout`: seconds that a turn waits for the ones before it. `lease`: as for Store.renew_holds."""
        self._store = store
        self._sleep = sleep
        self._timeout = timeout
        self._lease = lease
        self._queues = SessionQueues()
        self._claims: set[Claim] = set()
        self._releases: set[asyncio.Task[None]] = set()

    def live(self) -> Sequence[tuple[str, Hold]]:
        """What must be renewed for as long as this process lives: holds, and the tickets of those that wait."""
        held = [(claim.key[1], claim.hold) for claim in self._claims if claim.is_held or claim.hold.ticket is not None]
        return held + [(key[1], _waiting(ticket)) for key, queue in self._queues.items() for ticket in queue.tickets]

    @asynccontextmanager
    async def claim(self, flight: Flight[Any], user_id: str, session_id: str) -> AsyncIterator[Claim]:
        """Enter when all earlier turns of this process on the session are done.

        Raises Conflict (`session_locked`) when that takes longer than the timeout, the flight's reason when it is
        interrupted meanwhile, StorageUnavailable.
        """
        key = (user_id, session_id)
        queue, place = self._queues.join(key)
        claim = Claim(key, queue, place, flight, asyncio.get_running_loop().time() + self._timeout)
        self._claims.add(claim)
        has_ticket = False
        try:
            if not place.is_first:
                has_ticket = await self._take_ticket(claim)
                await self._wait(claim, place.reach)
            if queue.tickets:
                claim.hold = replace(claim.hold, ticket=queue.lowest(None))
            has_ticket = False
            yield claim
        finally:
            self._claims.discard(claim)
            if has_ticket and (ticket := queue.give_back(place)) is not None:
                self._release(session_id, _waiting(ticket))
            if claim.is_held or claim.hold.ticket is not None:
                self._release(session_id, claim.hold)
            self._queues.leave(key, place)

    async def wait_longer(self, claim: Claim) -> None:
        """The store answered that the session is locked: wait a while before it is asked again. Raises as `claim`."""
        claim.is_held = False
        if claim.hold.ticket is None:
            await self._take_ticket(claim)
        claim.hold = replace(claim.hold, ticket=claim.queue.lowest(claim.hold.ticket))
        await self._wait(claim, lambda: self._sleep(claim.pause))
        claim.pause = min(2 * claim.pause, _LONGEST_PAUSE)

    async def aclose(self) -> None:
        """Return when every release has been tried."""
        if self._releases:
            await asyncio.wait(self._releases)

    async def _take_ticket(self, claim: Claim) -> bool:
        """Not to be interrupted: a ticket that nobody knows of would hold up everybody until it lapses."""
        ticket = await self._store.queue_turn(*claim.key, lease=self._lease)
        if ticket is None:
            return False  # there is no such session, as opening it will say
        claim.queue.add(ticket)
        return True

    async def _wait(self, claim: Claim, something: Callable[[], Awaitable[None]]) -> None:
        claim.flight.delay()
        try:
            async with claim.flight.waiting(), asyncio.timeout_at(claim.deadline):
                await something()
        except TimeoutError:
            raise _locked(self._timeout) from None
        except Interrupted as exc:
            raise exc.reason from None

    def _release(self, session_id: str, hold: Hold) -> None:
        """In the background: a client that is to hear of a database that does not answer need not wait for it twice."""
        task = asyncio.create_task(self._try_release(session_id, hold))
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    async def _try_release(self, session_id: str, hold: Hold) -> None:
        try:
            await self._store.release_hold(session_id, hold)
        except StorageUnavailable:
            return  # it lapses


def _waiting(ticket: int) -> Hold:
    """A place in the store's queue that no turn goes by yet."""
    return Hold("", ticket)


def _locked(timeout: float) -> Conflict:
    return Conflict(
        f"Other turns of this session were still running after {timeout:g} s. Try again when they are done.",
        code="session_locked",
        param="session_id",
        headers={"retry-after": "1"},
    )
