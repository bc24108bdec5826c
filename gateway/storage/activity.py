"""What the ledger's turns came to over time, added up from parts. Pure; for the stores that add up in Python.

Parts are what a database gives in one row, or a single turn. Percentiles need every value: they are kept in sorted runs
of a few thousand, because to sort a million floats at once holds the interpreter's lock, and with it every turn, for a
third of a second.
"""

import math
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from gateway.domain import LedgerEntry, Status
from gateway.ledger import MAX_ERRORS, ActivitySums, ErrorCount, Percentiles, TurnFilter
from gateway.storage.texts import is_storable
from gateway.values import value

_RUN = 4096


@value
class Part:
    """What some turns of one point came to; durations in milliseconds, in no order."""

    turns: int
    failed_turns: int
    incomplete_turns: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    latencies: Sequence[float]
    ttfts: Sequence[float]
    overheads: Sequence[float]


def is_possible(chosen: TurnFilter) -> bool:
    """False if nothing that is stored can have these texts."""
    return is_storable(chosen.user_id, chosen.key_id, chosen.session_id, chosen.model, chosen.error)


def part_of(entry: LedgerEntry) -> Part:
    is_answered = entry.error_status is None
    return Part(
        turns=1,
        failed_turns=int(entry.status is Status.FAILED),
        incomplete_turns=int(entry.status is Status.INCOMPLETE),
        prompt_tokens=entry.usage.prompt_tokens,
        completion_tokens=entry.usage.completion_tokens,
        cost=entry.cost,
        latencies=[entry.latency_ms] if is_answered and entry.latency_ms is not None else [],
        ttfts=[entry.ttft_ms] if is_answered and entry.ttft_ms is not None else [],
        overheads=[] if entry.overhead_ms is None else [entry.overhead_ms],
    )


def added_up(parts: Iterable[tuple[int, Part]]) -> tuple[list[tuple[int, ActivitySums]], ActivitySums]:
    """What the turns of each point came to, in the points' order, and what all of them did.

    Each part comes with the number of its point.
    """
    tallies: defaultdict[int, _Tally] = defaultdict(_Tally)
    totals = _Tally()
    for number, part in parts:
        tallies[number].add(part)
        totals.add(part)
    return [(number, tallies[number].sums()) for number in sorted(tallies)], totals.sums()


def most_frequent(failed: Iterable[LedgerEntry]) -> list[ErrorCount]:
    """The errors of these turns, as the databases order them."""
    counts = Counter((turn.error_status, turn.error_code) for turn in failed if turn.error_status is not None)
    errors = [ErrorCount(code, status, turns) for (status, code), turns in counts.items()]
    return sorted(errors, key=lambda error: (-error.turns, error.status, error.code or ""))[:MAX_ERRORS]


class _Tally:
    def __init__(self) -> None:
        self._turns = self._failed = self._incomplete = self._prompt = self._completion = 0
        self._costs: list[float] = []
        self._latencies, self._ttfts, self._overheads = Sample(), Sample(), Sample()

    def add(self, part: Part) -> None:
        self._turns += part.turns
        self._failed += part.failed_turns
        self._incomplete += part.incomplete_turns
        self._prompt += part.prompt_tokens
        self._completion += part.completion_tokens
        if part.cost is not None:
            self._costs.append(part.cost)
        self._latencies.add(part.latencies)
        self._ttfts.add(part.ttfts)
        self._overheads.add(part.overheads)

    def sums(self) -> ActivitySums:
        return ActivitySums(
            turns=self._turns,
            failed_turns=self._failed,
            incomplete_turns=self._incomplete,
            prompt_tokens=self._prompt,
            completion_tokens=self._completion,
            cost=math.fsum(self._costs) if self._costs else None,
            latency=self._latencies.percentiles(),
            ttft=self._ttfts.percentiles(),
            overhead=self._overheads.percentiles(),
        )


class Sample:
    """Numbers, of which percentiles are asked. `run`: how many are sorted together, about."""

    def __init__(self, run: int = _RUN) -> None:
        self._run = run
        self._runs: list[array[float]] = []
        self._loose: list[float] = []

    def add(self, values: Sequence[float]) -> None:
        """A few thousand at a time: they are sorted together."""
        self._loose += values
        if len(self._loose) >= self._run:
            self._sort()

    def percentiles(self) -> Percentiles:
        if self._loose:
            self._sort()
        return Percentiles(self._nearest_rank(0.5), self._nearest_rank(0.95), self._nearest_rank(0.99))

    def _sort(self) -> None:
        self._runs.append(array("d", sorted(self._loose)))
        self._loose = []

    def _nearest_rank(self, share: float) -> float | None:
        """The smallest of the numbers that `share` of them do not exceed.

        The range that it lies in is halved, and both ends moved to numbers that there are, until there is one left.
        """
        if not self._runs:
            return None
        rank = math.ceil(share * sum(map(len, self._runs)))
        low, high = min(run[0] for run in self._runs), max(run[-1] for run in self._runs)
        while low < high:
            middle = (low + high) / 2
            if middle >= high:  # rounded up: there is no float between the two
                middle = low
            places = [bisect_right(run, middle) for run in self._runs]
            if sum(places) >= rank:
                high = max(run[place - 1] for run, place in zip(self._runs, places, strict=True) if place)
            else:
                low = min(run[place] for run, place in zip(self._runs, places, strict=True) if place < len(run))
        return low
