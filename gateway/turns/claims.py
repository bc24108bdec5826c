"""One turn at a time on a session, in the order they arrived, on one machine or many.

Turns of one process queue in memory (queues.py), and only the first of them asks the store, where those of all
processes meet. Who has to wait takes a ticket there, so that whoever arrives later, and wherever, goes later.

Invariant: what the store holds for a turn is let go of by closing the turn or by `release_hold`; should neither get
through, it lapses, because this process no longer renews it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Any, Self

from gateway.errors import Conflict, StorageUnavailable
from gateway.ids import ulid
from gateway.ports import Hold, Store
from gateway.turns.flights import Flight, Interrupted
from gateway.turns.queues import Key, Place, Queue, SessionQueues

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05
"""Seconds between two looks at a session that another process holds."""


class Claim:
    """A turn's claim on its session. `hold` is what to tell the store when the turn is opened and when it is closed."""

    __slots__ = ("_claims", "deadline", "flight", "hold", "is_held", "key", "pause", "place", "queue")

    queue: Queue
    place: Place

    def __init__(self, claims: "Claims", key: Key, flight: Flight[Any], hold: Hold, deadline: float) -> None:
        self._claims = claims
        self.key = key
        self.flight = flight
        self.hold = hold
        self.deadline = deadline
        self.pause = _FIRST_PAUSE
        self.is_held = False
        """Whether the store may hold the session for this turn: true as soon as it was asked to."""

    # Methods and no generator, which costs as much as all that happens when nobody else wants the session.
    async def __aenter__(self) -> Self:
        self._claims.join(self)
        if not self.place.is_first:
            await self._claims.wait_in_line(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._claims.leave(self)

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
        self._name = ulid()
        self._numbers = count(1)
        self._claims: set[Claim] = set()
        self._releases: set[asyncio.Task[None]] = set()

    def live(self) -> Sequence[tuple[str, Hold]]:
        """What must be renewed for as long as this process lives: holds, and the tickets of those that wait."""
        held = [(claim.key[1], claim.hold) for claim in self._claims if claim.is_held or claim.hold.ticket is not None]
        return held + [(key[1], _waiting(ticket)) for key, queue in self._queues.items() for ticket in queue.tickets]

    def gauges(self) -> Mapping[str, float]:
        """For telemetry/gauges.py. In each queue all wait but the first."""
        return {"turns_in_line": len(self._claims) - len(self._queues)}

    def claim(self, flight: Flight[Any], user_id: str, session_id: str) -> Claim:
        """Entered (`async with`) when all earlier turns of this process on the session are done.

        Entering raises Conflict (`session_locked`) when that takes longer than the timeout, the flight's reason when it
        is interrupted meanwhile, StorageUnavailable.
        """
        hold = Hold(f"{self._name}-{next(self._numbers)}")  # a request's id would not do: callers may choose it
        return Claim(self, (user_id, session_id), flight, hold, asyncio.get_running_loop().time() + self._timeout)

    def join(self, claim: Claim) -> None:
        """Take the last place on the session."""
        claim.queue, claim.place = self._queues.join(claim.key)
        self._claims.add(claim)

    async def wait_in_line(self, claim: Claim) -> None:
        """Return when all turns of this process that came before have left; leave if that fails. Raises as `claim`."""
        has_ticket = False
        try:
            has_ticket = await self._take_ticket(claim)
            await self._wait(claim, claim.place.reach)
        except BaseException:
            if has_ticket and (ticket := claim.queue.give_back(claim.place)) is not None:
                self._release(claim.key[1], _waiting(ticket))
            self.leave(claim)
            raise
        claim.hold = replace(claim.hold, ticket=claim.queue.lowest(None))

    def leave(self, claim: Claim) -> None:
        """Make way for the next turn, and have the store let go of what it may still hold for this one."""
        self._claims.discard(claim)
        if claim.is_held or claim.hold.ticket is not None:
            self._release(claim.key[1], claim.hold)
        self._queues.leave(claim.key, claim.place)

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
