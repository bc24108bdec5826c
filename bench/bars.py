"""The numbers that the gateway has to hold, and whether it does."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.modes import chat, litellm, long_session, start
from bench.results import Results
from bench.targets import FERROGW, LITELLM, OURS


@dataclass(frozen=True, slots=True)
class Bar:
    what: str
    limit: float
    at_least: bool
    """Else at most."""
    unit: str
    measured: Callable[[Results], float | None]
    """None if what it takes was not measured."""

    @property
    def text(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Verdict:
    bar: Bar
    measured: float | None

    @property
    def met(self) -> bool | None:
        """None if it was not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.bar.limit if self.bar.at_least else self.measured <= self.bar.limit

    @property
    def text(self) -> str:
        if self.measured is None:
            return "not measured"
        share = 100 * abs(self.measured / self.bar.limit - 1)
        if self.met:
            return f"met, by {share:.0f} %"
        # Rounded to nothing it would look as if it were met.
        return f"short by {max(share, 0.1):.1f} %"


def judge(results: Results) -> list[Verdict]:
    return [Verdict(bar, bar.measured(results)) for bar in BARS]


def _rates(mode: str, over: str, under: str) -> Callable[[Results], float | None]:
    """The ratio of the requests a second of two rows of a mode: the median over its rounds.

    Two spells of load in the same round are seconds apart, while the machine is in one mood.
    """

    def ratio(results: Results) -> float | None:
        upper, lower = results.row(mode, over), results.row(mode, under)
        if upper is None or lower is None:
            return None
        return median(one.rate / other.rate for one, other in zip(upper.rounds, lower.rounds, strict=True))

    return ratio


def _latencies(over: tuple[str, str], under: tuple[str, str]) -> Callable[[Results], float | None]:
    """The ratio of the p50 of two rows."""

    def ratio(results: Results) -> float | None:
        upper, lower = results.row(*over), results.row(*under)
        return upper.p50_ms / lower.p50_ms if upper and lower and upper.p50_ms and lower.p50_ms else None

    return ratio


def _figure(mode: str, label: str) -> Callable[[Results], float | None]:
    return lambda results: results.figure(mode, label)


BARS = (
    Bar(
        "stateless, key checked, ledger fsynced",
        0.7,
        True,
        "× ferrogw",
        _rates(chat.STATELESS, chat.PLAIN, FERROGW),
    ),
    Bar(
        "session turn, 20 messages, fsynced",
        0.5,
        True,
        "× stateless",
        _rates(chat.SESSION, chat.IN_SESSIONS, chat.PLAIN),
    ),
    Bar(
        "session turn, 20 messages, fsynced",
        25,
        True,
        "× LiteLLM proxy, stateless",
        _rates(chat.SESSION, chat.IN_SESSIONS, LITELLM),
    ),
    Bar("streams of 200 events, stored", 3, True, "× ferrogw", _rates(chat.STREAM, chat.IN_SESSIONS, FERROGW)),
    Bar("streams of 200 events, stored", 100, True, "× LiteLLM proxy", _rates(chat.STREAM, chat.IN_SESSIONS, LITELLM)),
    Bar(
        "p50 of a turn in a session of 100,000 messages",
        1.25,
        False,
        "× that of 20",
        _latencies((long_session.LONG_SESSION, long_session.LONG), (long_session.LONG_SESSION, long_session.SHORT)),
    ),
    Bar(start.SECONDS, 1.5, False, "s", _figure(start.START, f"{OURS}, {start.SECONDS}")),
    Bar(start.MEMORY, 150, False, "MB", _figure(start.START, f"{OURS}, {start.MEMORY}")),
    Bar(
        "through litellm",
        0.85,
        True,
        "× bare litellm.acompletion",
        _rates(litellm.LITELLM, litellm.THROUGH, litellm.BARE),
    ),
)
