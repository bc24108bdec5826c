"""Ratios approach what providers report, within bounds, and forget the models used longest ago."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.calibration import Calibration


def test_nothing_is_corrected_until_something_is_learnt() -> None:
    assert Calibration().ratio("claude") == 1.0


def test_a_ratio_approaches_what_is_reported() -> None:
    calibration = Calibration()
    calibration.learn("claude", estimated=1_000, reported=1_200)
    assert calibration.ratio("claude") == pytest.approx(1.05)
    for _ in range(50):
        calibration.learn("claude", estimated=10_000, reported=12_000)
    assert calibration.ratio("claude") == pytest.approx(1.2)
    assert calibration.ratio("mistral") == 1.0


def test_a_short_prompt_says_little() -> None:
    calibration = Calibration()
    calibration.learn("claude", estimated=10, reported=30)
    assert calibration.ratio("claude") == pytest.approx(1.005)


@pytest.mark.parametrize(
    ("estimated", "reported"), [(0, 100), (100, 0), (-5, 100), (100, -5), (1_000, 20_001), (20_001, 1_000)]
)
def test_zero_and_absurd_reports_are_ignored(estimated: int, reported: int) -> None:
    calibration = Calibration()
    calibration.learn("claude", estimated=estimated, reported=reported)
    assert calibration.ratio("claude") == 1.0


@given(st.lists(st.tuples(st.integers(-10, 10**6), st.integers(-10, 10**6)), max_size=50))
def test_a_ratio_stays_between_a_half_and_three(observations: list[tuple[int, int]]) -> None:
    calibration = Calibration()
    for estimated, reported in observations:
        calibration.learn("claude", estimated=estimated, reported=reported)
        assert 0.5 <= calibration.ratio("claude") <= 3.0


def test_the_models_used_longest_ago_are_forgotten() -> None:
    calibration = Calibration()
    for number in range(1024):
        calibration.learn(f"model-{number}", estimated=1_000, reported=2_000)
    calibration.ratio("model-0")
    calibration.learn("one too many", estimated=1_000, reported=2_000)
    assert calibration.ratio("model-0") > 1.0
    assert calibration.ratio("model-1") == 1.0
    assert calibration.ratio("model-2") > 1.0
