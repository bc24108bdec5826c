"""A model whose context window nobody knows: history is fitted to an assumed one, and no request is refused by it."""

from collections.abc import AsyncIterator

import pytest

from gateway.ports import Store
from tests.api.composed import Composed, Person, compose
from tests.stubs.openai_wire import OpenAIStub

LONG = "word " * 40_000


@pytest.fixture
async def gateway(store: Store) -> AsyncIterator[Composed]:
    async with OpenAIStub() as house:
        entry = {"name": "house", "model": "openai/house-7b", "api_base": house.base_url}
        async with compose(store, {"models": [entry]}) as composed:
            composed.stub = house
            yield composed


async def test_a_request_longer_than_the_assumed_window_is_for_the_provider_to_judge(
    gateway: Composed, ada: Person
) -> None:
    session = await ada.new_session()
    await ada.say(session, "My name is Ada.", model="house")
    reply = await ada.say(session, LONG, model="house")
    assert [message["content"] for message in gateway.stub.requests[-1].body["messages"]] == [LONG]
    assert reply.headers["x-history-trimmed"] == "2"


async def test_history_is_fitted_to_the_assumed_window(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    await ada.say(session, LONG[: len(LONG) // 4], model="house")  # the reply repeats it
    await ada.say(session, LONG[: len(LONG) // 4], model="house")  # the reply repeats it
    assert len(gateway.stub.requests[-1].body["messages"]) == 1
    await ada.say(session, "And now?", model="house")
    assert len(gateway.stub.requests[-1].body["messages"]) == 3


async def test_no_key_of_openai_goes_to_a_house_that_speaks_its_wire(gateway: Composed, ada: Person) -> None:
    await ada.say(None, model="house")
    assert "authorization" not in gateway.stub.requests[-1].headers
