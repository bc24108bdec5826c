"""Where limits are counted: in this process alone (memory.py), or in Redis for all replicas together (redis.py).

Invariant: `take` is all or nothing, over all counters of a call and both ends of the wire. Calls at the same time never
get more together than the limits allow, and one that is refused uses nothing up.

That is why the strategies of the `limits` library are not used: they hit one counter at a time, so that a call which
one of its limits refuses has already spent the others, and none can give back what a call has reserved and not used.

A counter is a row of buckets, numbered. That of a rolling limit has one for each second, so that in no span of so many
seconds, wherever it begins, more goes through than the limit: minutes of the clock would let twice as much through
around their turn. That of a quota has one for the calendar's day or month.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.values import value

LEASE = 30.0
"""Seconds that a place is kept for a call whose process no longer says that it runs."""


class CountersUnavailable(Exception):
    """Redis does not answer, or not in time."""


@value
class Charge:
    """So much of a counter, wherever it fits under the limit."""

    counter: str
    amount: int
    limit: int
    seconds: int = 0
    """The limit is for any so many seconds; 0: for a period of the calendar."""
    period: int = 0
    """The number of that period; greater than those of all periods before it. 0 for a rolling limit."""
    expires_in: int = 0
    """Seconds from now after which nobody asks for the period any more."""
    at: int = 0
    """Second since 1970, by the counters' clock, in which it was taken; 0 as long as it is not."""


@value
class Slot:
    """One of so many places that calls can hold at the same time."""

    counter: str
    limit: int


class Count(NamedTuple):
    """How a counter stood just before it was asked for a charge."""

    used: int
    wait: int
    """Seconds until the charge fits, at least 1; 0: it fits. For a quota 1 stands for its period's end."""
    reset: int
    """Seconds until nothing of what was used counts any more. Says nothing of a quota."""
    is_seeded: bool = True
    """False for a quota that nothing is known of: `seed` it, and ask again."""


class Taken(NamedTuple):
    is_granted: bool
    """Whether everything was taken; else nothing was."""
    at: int
    """The second in which that was."""
    counts: Sequence[Count]
    """Of the charges, in their order."""
    held: Sequence[int]
    """Of the slots: how many others hold one."""


class Counters(Protocol):
    """Every method is one step that no other call comes between, and raises CountersUnavailable."""

    async def take(self, charges: Sequence[Charge], slots: Sequence[Slot] = (), holder: str = "") -> Taken:
        """Take all of it if all of it fits. The slots are `holder`'s until settled, or their lease has run out."""

    async def seed(self, charge: Charge, used: int) -> None:
        """Say what was used of a quota in its period so far. The first one to say so counts."""

    async def settle(self, charges: Sequence[Charge], slots: Sequence[Slot] = (), holder: str = "") -> None:
        """Add the amounts, whatever the limits: less than 0 gives back of what was taken `at` that second."""

    async def renew(self, holders: Sequence[tuple[str, Sequence[Slot]]]) -> None:
        """Let these slots last for another lease."""

    async def aclose(self) -> None: ...
