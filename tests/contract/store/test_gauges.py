"""What every store tells of itself for metrics: by names that are known, whatever state it is in."""

from collections.abc import Callable
from contextlib import suppress

from gateway.domain import Session
from gateway.ports import Store
from gateway.telemetry.gauges import SHARED, SIZES, WORK
from tests.contract.store.values import add_texts, make_appending, make_key, make_message, make_session


async def test_figures_have_the_same_known_names_before_during_and_after_its_use(
    make_store: Callable[[], Store],
) -> None:
    store = make_store()
    before = store.gauges()
    await store.start()
    await store.add_key(make_key())
    during = store.gauges()
    await store.aclose()
    assert before.keys() == during.keys() == store.gauges().keys() <= {*WORK, *SIZES, *SHARED}


async def test_a_store_at_rest_has_no_work(store: Store) -> None:
    await store.ping()
    assert {name: figure for name, figure in store.gauges().items() if name in WORK and figure} == {}


async def test_what_the_search_index_lacks_is_told_until_it_has_all(store: Store) -> None:
    for number in range(3):
        session = make_session(f"sess_{number}")
        await store.create_session(session)
        await add_texts(store, session, "one", "two")
    has_index = "search_index_backlog" in store.gauges()
    assert (await store.index_messages(limit=1) > 0) is has_index
    assert (store.gauges().get("search_index_backlog") in {2, 3}) is has_index
    while await store.index_messages(limit=1):
        pass
    await store.index_messages(limit=1)
    assert store.gauges().get("search_index_backlog", 0) == 0


async def test_what_the_search_index_lacks_is_told_while_indexing_fails(store: Store, session: Session) -> None:
    has_index = "search_index_backlog" in store.gauges()
    await store.add_messages(make_appending(session, make_message(body=b"[]")))
    with suppress(AttributeError):  # of a list, which is no message
        assert await store.index_messages(limit=10) == 0
        assert not has_index
    assert store.gauges().get("search_index_backlog", 0) == has_index
