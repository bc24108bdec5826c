"""Percentiles of numbers that are never sorted together are those of all of them."""

import math
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import Percentiles
from gateway.storage.activity import Sample

NUMBERS = st.one_of(st.floats(0, allow_infinity=False), st.integers(0, 9).map(float))


def nearest_rank(numbers: list[float], share: float) -> float:
    return sorted(numbers)[math.ceil(share * len(numbers)) - 1]


@given(st.lists(NUMBERS, min_size=1, max_size=60), st.lists(st.integers(1, 20), min_size=60, max_size=60))
def test_it_does_not_matter_in_which_runs_numbers_come(numbers: list[float], lengths: list[int]) -> None:
    sample = Sample(run=8)
    for start, end in pairwise(accumulate([0, *lengths])):
        sample.add(numbers[start:end])
    assert sample.percentiles() == Percentiles(*[nearest_rank(numbers, share) for share in (0.5, 0.95, 0.99)])


def test_of_nothing_there_are_none() -> None:
    assert Sample().percentiles() == Percentiles(None, None, None)
