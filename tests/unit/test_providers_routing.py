"""The order in which deployments are asked: by weight, and for a session always the same."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import Deployment, Via
from gateway.providers.health import Health
from gateway.providers.routing import Route, Router, draw_by_chance, draw_for, preferred

WEIGHTS = st.lists(st.floats(0.01, 100.0), min_size=2, max_size=6)
SESSIONS = st.text(min_size=1, max_size=40)


def deployment(label: str | None, weight: float = 1.0, name: str = "fast") -> Deployment:
    return Deployment(
        name=name,
        via=Via.DIRECT,
        provider="openai",
        model="m",
        context_window=8192,
        reply_reserve=100,
        encoding="o200k_base",
        exact=True,
        label=label,
        weight=weight,
    )


def route(*weights: float) -> Route:
    return Route((tuple([deployment(str(number), weight) for number, weight in enumerate(weights)]),))


def labels(order: list[Deployment]) -> list[str | None]:
    return [each.label for each in order]


@given(WEIGHTS, SESSIONS)
def test_every_deployment_is_asked_once_and_a_session_always_in_the_same_order(weights: list[float], sid: str) -> None:
    order = labels(preferred(route(*weights), draw_for(sid)))
    assert order == labels(preferred(route(*weights), draw_for(sid)))
    assert sorted(map(str, order)) == sorted(map(str, range(len(weights))))


@given(WEIGHTS, SESSIONS, st.data())
def test_a_deployment_that_is_taken_away_moves_no_other_session(
    weights: list[float], sid: str, data: st.DataObject
) -> None:
    [deployments] = route(*weights).models
    gone = data.draw(st.sampled_from(deployments))
    rest = Route((tuple([each for each in deployments if each is not gone]),))
    before, after = preferred(route(*weights), draw_for(sid)), preferred(rest, draw_for(sid))
    assert [each for each in before if each != gone] == after


@given(WEIGHTS, SESSIONS, st.floats(1.0, 100.0))
def test_a_larger_weight_only_draws_sessions_to_itself(weights: list[float], sid: str, factor: float) -> None:
    grown = [weights[0] * factor, *weights[1:]]
    before, after = labels(preferred(route(*weights), draw_for(sid))), labels(preferred(route(*grown), draw_for(sid)))
    assert after.index("0") <= before.index("0")
    assert [each for each in before if each != "0"] == [each for each in after if each != "0"]


def test_sessions_are_shared_out_by_weight() -> None:
    first = Counter(preferred(route(1, 2, 5), draw_for(f"sess_{number}"))[0].label for number in range(8000))
    # Four standard deviations of a binomial are under 180 here; the draws are fixed, so that this cannot flicker.
    assert {label: round(count / 1000, 1) for label, count in first.items()} == {"0": 1.0, "1": 2.0, "2": 5.0}


def test_stateless_calls_are_shared_out_by_weight() -> None:
    first = Counter(preferred(route(1, 9), draw_by_chance)[0].label for _ in range(2000))
    assert 0 < first["0"] < first["1"]  # the odds against are 1 to 10^91, and more


def test_models_that_stand_in_come_after_all_of_the_model_s_own() -> None:
    own, other = deployment("a", weight=0.001), deployment(None, weight=1000, name="other")
    assert preferred(Route(((own,), (other,))), draw_for("sess_1")) == [own, other]


def test_a_model_with_one_deployment_has_no_candidates() -> None:
    router = Router({"fast": route(1, 1)}, Health(cooldown=30, cooldown_after=3))
    assert router.candidates("other", "sess_1") == ()
    assert len(router.candidates("fast", None)) == 2
