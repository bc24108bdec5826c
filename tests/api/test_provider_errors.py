"""What a client is told when its provider refuses, breaks or says nothing."""

import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.domain import Status
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Person, compose, refusal
from tests.stubs.openai_wire import Hang, Json, Raw, completion, error
from tests.stubs.server import Behaviour

LIMITS = {
    "retry-after": "7",
    "retry-after-ms": "7000",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-tokens": "0",
    "x-should-retry": "false",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503])
async def test_a_refusal_is_passed_on(gateway: Composed, ada: Person, status: int, stream: bool) -> None:
    session = await ada.new_session()
    body = error("Not like that.", kind="some_error", code="some_code", param="temperature")
    gateway.stub.reply_with(Json(body, status=status, headers={**LIMITS, "set-cookie": "a=b", "server": "x"}))

    response = await ada.ask(session, stream=stream)

    assert refusal(response, status) == body["error"]
    assert LIMITS.items() <= dict(response.headers).items()
    assert "set-cookie" not in response.headers
    assert [message["status"] for message in await ada.messages(session)] == ["failed"]
    [entry] = await gateway.ledger(ada)
    assert (entry.status, entry.error_status, entry.error_code) == (Status.FAILED, status, "some_code")
    assert entry.usage.total_tokens == 0


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_is_not_the_callers(gateway: Composed, ada: Person, status: int) -> None:
    told = "Incorrect API key provided: sk-provi******cret."
    gateway.stub.reply_with(Json(error(told, code="invalid_api_key"), status=status))

    found = refusal(await ada.ask(None), status)

    assert found["code"] == "provider_authentication_error"
    assert "sk-provi" not in found["message"]
    assert "cret" not in found["message"].replace("credential", "")


async def test_a_reply_keeps_the_providers_headers(gateway: Composed, ada: Person) -> None:
    gateway.stub.reply_with(Json(completion(), headers={"x-ratelimit-remaining-requests": "59", "x-request-id": "up"}))
    response = await ada.say(None)
    assert response.headers["x-ratelimit-remaining-requests"] == "59"
    assert response.headers.get_list("x-request-id") != ["up"]
    assert len(response.headers.get_list("x-request-id")) == 1


BROKEN: dict[str, Behaviour] = {
    "no JSON": Raw(b"<html>Bad gateway</html>", content_type="text/html"),
    "half a document": Raw(b'{"choices": ['),
    "an array": Raw(b"[]"),
    "no choices": Json({"id": "x", "object": "chat.completion"}),
    "no message": Json({"choices": [{"index": 0, "finish_reason": "stop"}]}),
    "deeper than can be stored": Raw(b'{"choices":[{"message":{"x":' + b"[" * 600 + b"]" * 600 + b"}}]}"),
}


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
async def test_a_reply_that_is_none(gateway: Composed, ada: Person, behaviour: Behaviour) -> None:
    session = await ada.new_session()
    gateway.stub.reply_with(behaviour)

    found = refusal(await ada.ask(session), 502)

    assert (found["type"], found["code"]) == ("provider_error", "provider_unavailable")
    assert [message["status"] for message in await ada.messages(session)] == ["failed"]
    [entry] = await gateway.ledger(ada)
    assert (entry.status, entry.error_code) == (Status.FAILED, "provider_unavailable")


async def test_an_error_page_keeps_its_status_and_nothing_of_its_text(gateway: Composed, ada: Person) -> None:
    gateway.stub.reply_with(Raw(b"<html>10.1.2.3 said no</html>", status=503, content_type="text/html"))
    found = refusal(await ada.ask(None), 503)
    assert found["message"] == "The provider of model 'fast' answered with status 503."


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port that refuses connections: bound, and never listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_cannot_be_reached(refusing_port: int, stream: bool) -> None:
    models = [{"name": "fast", "model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{refusing_port}/v1"}]
    async with compose(InMemoryStore(), {"models": models}) as gateway:
        ada = await gateway.person()
        found = refusal(await ada.ask(None, stream=stream), 502)
        assert (found["type"], found["code"]) == ("provider_error", "provider_unavailable")
        assert str(refusing_port) not in found["message"]
        [entry] = await gateway.ledger(ada)
        assert (entry.status, entry.error_status) == (Status.FAILED, 502)


@pytest.fixture
async def impatient() -> AsyncIterator[Composed]:
    async with compose(InMemoryStore(), {"providers": {"read_timeout": 0.2}}) as gateway:
        yield gateway


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_says_nothing(impatient: Composed, stream: bool) -> None:
    ada = await impatient.person()
    session = await ada.new_session()
    impatient.stub.reply_with(Hang())

    found = refusal(await ada.ask(session, stream=stream), 504)

    assert (found["type"], found["code"]) == ("provider_error", "provider_timeout")
    assert [message["status"] for message in await ada.messages(session)] == ["failed"]
    [entry] = await impatient.ledger(ada)
    assert (entry.error_status, entry.error_code) == (504, "provider_timeout")
