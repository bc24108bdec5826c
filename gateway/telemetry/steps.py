"""When the steps of one turn ended, noted on its way: what metrics and traces are made of once it is stored.

Each phase begins where the one before it ended, so that together they are the whole. Keeping all of this costs a turn
less than a microsecond.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter, sub
from time import perf_counter

from gateway.domain import LedgerEntry

PHASES = ("auth", "read", "claim", "open", "window", "provider", "close")
STATELESS = ("auth", "read", "window", "provider", "close")
"""Those of a stateless call, which has no session to claim and to open."""


class Steps:
    """For each of the PHASES, time.perf_counter() at its end."""

    __slots__ = ("cached", "started", "traceparent", "trimmed_tokens", "waited", *PHASES)

    window: float
    provider: float
    close: float

    def __init__(self, started: float, auth: float, read: float, traceparent: str | None = None) -> None:
        """`started`: time.perf_counter() at the request's arrival. `traceparent`: its header of that name."""
        self.started = started
        self.auth = auth
        self.read = read
        self.claim: float | None = None
        """None for a stateless call, as is `open`."""
        self.open: float | None = None
        self.waited = False
        """True if the session's other turns had to be waited for."""
        self.cached = False
        """True if the session's window was in memory, and only what came after it was read."""
        self.trimmed_tokens = 0
        """Of the session's messages that were left out."""
        self.traceparent = traceparent

    def end_claim(self, *, waited: bool) -> None:
        """The session is this turn's, as far as is known: it may turn out to be another process's, and end anew."""
        self.claim = perf_counter()
        self.waited = waited

    def phases(self) -> Iterator[tuple[str, float, float]]:
        """Of a turn that is closed: the phases that it had, each with its beginning and its end."""
        since = self.started
        for phase in STATELESS if self.open is None else PHASES:
            until: float = getattr(self, phase)
            yield phase, since, until
            since = until


def durations(turns: Sequence[Steps]) -> Mapping[str, Sequence[float]]:
    """Of turns that are closed: the seconds that each phase took in each of them that had it."""
    found: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for phases in (PHASES, STATELESS):
        alike = [turn for turn in turns if (turn.open is None) == (phases is STATELESS)]
        stamps = list(zip(*map(attrgetter("started", *phases), alike), strict=True))
        for phase, since, until in zip(phases, stamps, stamps[1:], strict=False):  # no stamps of no turns
            found[phase] += map(sub, until, since)
    return found


NotedTurn = tuple[LedgerEntry, Steps, str]
"""A turn that has been stored: its row in the ledger, its steps, its user's name."""
