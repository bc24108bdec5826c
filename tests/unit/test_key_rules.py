"""Limits and models of keys as JSON. What stores make of changes is in tests/contract/store."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import UNLIMITED, Limits
from gateway.storage.key_rules import from_limits, from_models, set_limits, to_limits, to_models

_counts = st.none() | st.integers(1, 2**53)
_dollars = st.none() | st.floats(1e-9, 1e15)
_limits = st.builds(Limits, _counts, _counts, _counts, _counts, _counts, _dollars, _dollars)


@given(_limits)
def test_limits_come_back_as_they_were(limits: Limits) -> None:
    assert to_limits(from_limits(limits)) == limits
    assert Limits(**dict[str, Any](set_limits(limits))) == limits


@given(st.none() | st.frozensets(st.text(st.characters(exclude_categories=["Cs"]))))
def test_models_come_back_as_they_were(models: frozenset[str] | None) -> None:
    assert to_models(from_models(models)) == models


def test_what_is_not_limited_is_no_text() -> None:
    assert (from_limits(UNLIMITED), from_limits(Limits()), from_models(None)) == (None, None, None)
    assert set_limits(UNLIMITED) == {}


@pytest.mark.parametrize("unknown", [{"images_per_day": 5}, {"images_per_day": 5, "parallel_calls": 2}])
def test_limits_that_only_a_later_gateway_knows_are_left_out(unknown: dict[str, int]) -> None:
    assert to_limits(json.dumps(unknown)) == Limits(parallel_calls=unknown.get("parallel_calls"))
