import pytest

from bench.bars import BARS, Bar, Verdict, judge
from bench.modes import chat, long_session, start
from bench.results import Results, Round, Row
from bench.targets import FERROGW, LITELLM, OURS

AT_LEAST = Bar("speed", 2, at_least=True, unit="× theirs", measured=lambda _: None)
AT_MOST = Bar("start", 2, at_least=False, unit="s", measured=lambda _: None)


def row(mode: str, label: str, *rates: float, p50_ms: float | None = None) -> Row:
    return Row(mode, label, 64, [Round(rate, 100.0, p50_ms) for rate in rates], resident_mb=None)


def measured(results: Results, limit: float, unit: str) -> float | None:
    """What was measured for the bar of this limit and unit."""
    (verdict,) = [entry for entry in judge(results) if (entry.bar.limit, entry.bar.unit) == (limit, unit)]
    return verdict.measured


@pytest.mark.parametrize(
    ("bar", "value", "text"),
    [
        (AT_LEAST, 2.0, "met, by 0 %"),
        (AT_LEAST, 3.0, "met, by 50 %"),
        (AT_LEAST, 1.5, "short by 25.0 %"),
        (AT_LEAST, 1.9999, "short by 0.1 %"),
        (AT_MOST, 2.0, "met, by 0 %"),
        (AT_MOST, 1.0, "met, by 50 %"),
        (AT_MOST, 3.0, "short by 50.0 %"),
        (AT_MOST, None, "not measured"),
    ],
)
def test_a_verdict_says_by_how_much(bar: Bar, value: float | None, text: str) -> None:
    assert Verdict(bar, value).text == text


def test_nothing_measured_is_neither_met_nor_short() -> None:
    assert {verdict.met for verdict in judge(Results())} == {None}


def test_a_ratio_is_taken_round_by_round() -> None:
    ours = row(chat.STATELESS, chat.PLAIN, 90, 100, 500)
    ferrogw = row(chat.STATELESS, FERROGW, 10, 200, 250)  # 9, 0.5 and 2; of the medians it would be 0.5
    assert measured(Results(rows=[ours, ferrogw]), 0.7, "× ferrogw") == pytest.approx(2)


def test_without_the_peer_there_is_no_ratio() -> None:
    assert measured(Results(rows=[row(chat.STATELESS, chat.PLAIN, 100)]), 0.7, "× ferrogw") is None


def test_a_session_is_compared_with_the_stateless_turns_of_its_own_rounds() -> None:
    rows = [row(chat.STATELESS, chat.PLAIN, 400), row(chat.SESSION, chat.PLAIN, 100)]
    rows.append(row(chat.SESSION, chat.IN_SESSIONS, 60))
    assert measured(Results(rows=rows), 0.5, "× stateless") == pytest.approx(0.6)


def test_a_session_is_compared_with_litellm_in_its_own_rounds() -> None:
    rows = [row(chat.STATELESS, LITELLM, 1), row(chat.SESSION, LITELLM, 2), row(chat.SESSION, chat.IN_SESSIONS, 60)]
    assert measured(Results(rows=rows), 25, "× LiteLLM proxy, stateless") == pytest.approx(30)


def test_lengths_are_compared_by_latency() -> None:
    short = row(long_session.LONG_SESSION, long_session.SHORT, 100, p50_ms=2.0)
    long = row(long_session.LONG_SESSION, long_session.LONG, 100, p50_ms=3.0)
    assert measured(Results(rows=[short, long]), 1.25, "× that of 20") == pytest.approx(1.5)


def test_start_and_memory_are_ours() -> None:
    results = Results()
    results.add_figure(start.START, f"{FERROGW}, {start.SECONDS}", 0.1, "s")
    results.add_figure(start.START, f"{OURS}, {start.SECONDS}", 1.2, "s")
    assert measured(results, 1.5, "s") == 1.2


def test_every_bar_can_be_told_from_the_others() -> None:
    assert len({(bar.what, bar.text) for bar in BARS}) == len(BARS)
