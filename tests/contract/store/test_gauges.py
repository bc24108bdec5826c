"""What every store tells of itself for metrics: by names that are known, whatever state it is in."""

from collections.abc import Callable

from gateway.ports import Store
from gateway.telemetry.gauges import SIZES, WORK
from tests.contract.store.values import make_key


async def test_figures_have_the_same_known_names_before_during_and_after_its_use(
    make_store: Callable[[], Store],
) -> None:
    store = make_store()
    before = store.gauges()
    await store.start()
    await store.add_key(make_key())
    during = store.gauges()
    await store.aclose()
    assert before.keys() == during.keys() == store.gauges().keys() <= {*WORK, *SIZES}


async def test_a_store_at_rest_has_no_work(store: Store) -> None:
    await store.ping()
    assert {name: figure for name, figure in store.gauges().items() if name in WORK and figure} == {}
