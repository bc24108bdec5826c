"""When a deployment is left alone, for how long, and what ends it."""

import pytest

from gateway.domain import Deployment
from gateway.errors import GatewayError, ProviderBroken, ProviderError
from gateway.providers.health import Health
from tests.unit.test_providers_routing import deployment

A, B, C = deployment("a"), deployment("b"), deployment("c")
DOWN = ProviderBroken("down")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(cooldown=30, cooldown_after=3, clock=clock)


def fail(health: Health, which: Deployment, times: int = 3, error: GatewayError = DOWN) -> list[bool]:
    return [health.failed(which, error) for _ in range(times)]


def busy(seconds: str) -> ProviderError:
    return ProviderError("slow down", status=429, headers={"retry-after": seconds})


def test_all_are_well_at_first(health: Health) -> None:
    assert health.ranked([B, A]) == [B, A]
    assert health.cools_for(A) == 0


def test_failures_in_a_row_begin_a_cool_down_which_is_told_once(health: Health, clock: Clock) -> None:
    assert fail(health, A, 4) == [False, False, True, False]
    clock.now += 10
    assert health.cools_for(A) == 20
    assert health.ranked([A, B]) == [B, A]


def test_an_answer_in_between_forgives(health: Health) -> None:
    fail(health, A, 2)
    health.answered(A)
    assert fail(health, A, 2) == [False, False]
    assert health.ranked([A, B]) == [A, B]


def test_whose_cool_down_ends_first_is_asked_first_when_none_is_well(health: Health, clock: Clock) -> None:
    fail(health, B)
    clock.now += 5
    fail(health, A)
    clock.now += 5
    fail(health, C)
    assert health.ranked([A, B, C]) == [B, A, C]


def test_after_a_cool_down_one_call_tries(health: Health, clock: Clock) -> None:
    fail(health, A)
    clock.now += 30
    assert health.ranked([A, B]) == [A, B]
    health.asked(A)
    assert health.ranked([A, B]) == [B, A]  # for everybody else
    health.answered(A)
    assert health.ranked([A, B]) == [A, B]


def test_a_trial_that_fails_begins_the_cool_down_anew(health: Health, clock: Clock) -> None:
    fail(health, A)
    clock.now += 31
    health.asked(A)
    clock.now += 2
    assert fail(health, A, 1) == [False]
    assert health.cools_for(A) == 30


def test_to_ask_one_that_is_well_changes_nothing(health: Health) -> None:
    fail(health, A, 2)
    health.asked(A)
    assert health.cools_for(A) == 0


@pytest.mark.parametrize(
    ("asked_for", "seconds"), [("7", 7), ("0.5", 0.5), ("3600", 30), ("Fri, 01 Mar 2999 12:00:00 GMT", 30)]
)
def test_one_that_asks_for_a_pause_gets_it_at_once_within_bounds(
    health: Health, asked_for: str, seconds: float
) -> None:
    assert fail(health, A, 1, busy(asked_for)) == [True]
    assert health.cools_for(A) == seconds


@pytest.mark.parametrize("asked_for", ["soon", "-1", "nan", "inf", "0"])
def test_one_that_asks_for_no_sensible_pause_is_counted_as_any_other(health: Health, asked_for: str) -> None:
    assert fail(health, A, 3, busy(asked_for)) == [False, False, True]
    assert health.cools_for(A) == 30


def test_what_is_remembered_is_bounded(health: Health) -> None:
    fail(health, A)
    for number in range(1024):
        health.failed(deployment(str(number)), DOWN)
    assert health.cools_for(A) == 0
