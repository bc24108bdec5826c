"""What was measured, as values: rows of load, single figures, and what could not be measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Round:
    """One spell of load on one target."""

    rate: float
    """Requests a second."""
    cpu_us: float
    """CPU time of the target's whole tree, per request."""
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One target under one load. What is shown of its rounds are medians."""

    mode: str
    label: str
    connections: int
    rounds: Sequence[Round]
    resident_mb: float | None
    """After the last round."""

    @property
    def rate(self) -> float:
        return median(entry.rate for entry in self.rounds)

    @property
    def spread(self) -> float:
        """Of the rates: from the slowest to the fastest round, as a share of the median."""
        rates = [entry.rate for entry in self.rounds]
        return (max(rates) - min(rates)) / self.rate

    @property
    def cpu_us(self) -> float:
        return median(entry.cpu_us for entry in self.rounds)

    @property
    def p50_ms(self) -> float | None:
        return _median(entry.p50_ms for entry in self.rounds)

    @property
    def p99_ms(self) -> float | None:
        return _median(entry.p99_ms for entry in self.rounds)


@dataclass(frozen=True, slots=True)
class Figure:
    """A single figure."""

    mode: str
    label: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    mode: str
    label: str
    why: str


@dataclass(slots=True)
class Results:
    rows: list[Row] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    failed: list[LeftOut] = field(default_factory=list)
    """Modes, or parts of them, that broke off. A run with any of them is no good."""

    def add_figure(self, mode: str, label: str, value: float, unit: str) -> None:
        self.figures.append(Figure(mode, label, value, unit))

    def leave_out(self, mode: str, label: str, why: str) -> None:
        self.left_out.append(LeftOut(mode, label, why))

    def row(self, mode: str, label: str) -> Row | None:
        return next((row for row in self.rows if (row.mode, row.label) == (mode, label)), None)

    def figure(self, mode: str, label: str) -> float | None:
        return next((entry.value for entry in self.figures if (entry.mode, entry.label) == (mode, label)), None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
