"""Each error that a client can meet, as the official SDK raises it and as it is on the wire."""

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.acceptance.conversation import Person, person_at, user
from tests.acceptance.process import GatewayProcess
from tests.api.composed import refusal
from tests.stubs.openai_wire import Hang, Json, OpenAIStub, Raw, error, run_in_thread
from tests.stubs.server import Behaviour


@pytest.fixture(scope="module")
def refusing_port() -> Iterator[int]:
    """A port that refuses connections: bound, and never listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenAIStub]:
    with run_in_thread(OpenAIStub()) as stub:
        yield stub


@pytest.fixture(scope="module")
def strict(
    provider: OpenAIStub, refusing_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway whose limits are all near."""
    upstream = {"model": "openai/gpt-4o-mini", "api_key": "sk-provider-7Qv2mZ"}
    settings = {
        "server": {"max_body_bytes": 4096},
        "storage": {"timeout": 0.3},
        "providers": {"read_timeout": 0.5},
        "models": [
            {"name": "fast", **upstream, "api_base": provider.base_url},
            {"name": "nowhere", **upstream, "api_base": f"http://127.0.0.1:{refusing_port}/v1"},
            {"name": "tiny", **upstream, "api_base": provider.base_url, "context_window": 256},
        ],
    }
    with GatewayProcess(tmp_path_factory.mktemp("strict"), settings) as process:
        yield process


@pytest.fixture(scope="module")
def ada(strict: GatewayProcess) -> Iterator[Person]:
    with person_at(strict) as person:
        yield person


@pytest.fixture
def stub(provider: OpenAIStub) -> OpenAIStub:
    provider.requests.clear()
    return provider


def raised(call: Callable[[], object], kind: type[openai.APIStatusError], status: int) -> openai.APIStatusError:
    """The SDK's exception, of exactly this class, with everything that the SDK reads from an error."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert caught.value.request_id
    refusal(caught.value.response, status)
    return caught.value


# ── who asks, and for what ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["sk-gw-nonsense", "sk-proj-x", "sk-gw-" + "0" * 42])
def test_a_key_that_is_none(strict: GatewayProcess, key: str) -> None:
    with strict.sdk(key) as client:
        exc = raised(client.models.list, openai.AuthenticationError, 401)
    assert exc.code == "invalid_api_key"


def test_no_key(strict: GatewayProcess) -> None:
    with strict.http(None) as client:
        response = client.get("/v1/models")
    assert refusal(response, 401)["code"] == "missing_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_without_the_scope(ada: Person) -> None:
    exc = raised(
        lambda: ada.sdk.with_options(base_url=str(ada.http.base_url)).get("/admin/keys", cast_to=httpx.Response),
        openai.PermissionDeniedError,
        403,
    )
    assert exc.code == "insufficient_permissions"


def test_a_route_that_there_is_not(ada: Person) -> None:
    exc = raised(lambda: ada.sdk.embeddings.create(model="fast", input="x"), openai.NotFoundError, 404)
    assert (exc.code, exc.param) == ("unknown_url", None)


def test_a_model_that_there_is_not(ada: Person) -> None:
    for call in (lambda: ada.say(None, "x", model="nope"), lambda: ada.sdk.models.retrieve("nope")):
        exc = raised(call, openai.NotFoundError, 404)
        assert (exc.code, exc.param) == ("model_not_found", "model")


def test_a_method_that_there_is_not(ada: Person) -> None:
    exc = raised(lambda: ada.sdk.get("/chat/completions", cast_to=httpx.Response), openai.APIStatusError, 405)
    assert (exc.code, exc.response.headers["allow"]) == ("method_not_allowed", "POST")
    assert refusal(ada.http.options("/chat/sessions"), 405)["code"] == "method_not_allowed"
    head = ada.http.head("/v1/models")
    assert (head.status_code, head.content) == (200, b"")
    head = ada.http.head("/nope")
    assert (head.status_code, head.content) == (404, b"")


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_body_that_is_too_large(stub: OpenAIStub, ada: Person) -> None:
    exc = raised(lambda: ada.say(None, "x" * 5000), openai.APIStatusError, 413)
    assert exc.code == "request_too_large"
    chunked = ada.http.post("/v1/chat/completions", content=(b" " * 1000 for _ in range(5)))
    assert refusal(chunked, 413)["code"] == "request_too_large"
    assert stub.requests == []
    assert ada.http.get("/v1/models").status_code == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"max_history_messages": 1001}}, "max_history_messages"),
        ({"extra_body": {"session_id": "not an id"}}, "session_id"),
        ({"extra_body": {"tempreature": 1}}, "tempreature"),
        ({"extra_body": {"stream_options": {"include_usage": True}}}, "stream_options"),
    ],
)
def test_a_field_that_is_wrong(stub: OpenAIStub, ada: Person, fields: dict[str, Any], param: str) -> None:
    exc = raised(lambda: ada.say(None, "x", **fields), openai.BadRequestError, 400)
    assert exc.param == param
    assert stub.requests == []


def test_a_message_that_is_wrong(ada: Person) -> None:
    exc = raised(lambda: ada.say(None, user("x"), {"role": "robot", "content": "x"}), openai.BadRequestError, 400)
    assert exc.param == "messages[1].role"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": NaN}', b'{"model": "\\ud800"}', b"[" * 4000])
def test_a_body_that_is_no_json_object(ada: Person, body: bytes) -> None:
    assert refusal(ada.http.post("/v1/chat/completions", content=body), 400)["code"] == "invalid_json"


def test_a_request_that_no_window_holds(stub: OpenAIStub, ada: Person) -> None:
    session = ada.new_session()
    exc = raised(lambda: ada.say(session, "word " * 300, model="tiny"), openai.BadRequestError, 400)
    assert (exc.code, exc.param) == ("context_length_exceeded", "messages")
    assert ada.stored(session) == []
    assert stub.requests == []


def test_a_callers_request_id_comes_back(ada: Person) -> None:
    response = ada.http.get("/nope", headers={"x-request-id": "trace-1"})
    assert response.headers.get_list("x-request-id") == ["trace-1"]


# ── what the provider says ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_a_providers_refusal(stub: OpenAIStub, ada: Person, status: int, kind: type[openai.APIStatusError]) -> None:
    headers = {"retry-after": "7", "x-ratelimit-remaining-requests": "0"}
    said = error("Not like that.", kind="some_error", code="some_code", param="temperature")
    stub.reply_with(Json(said, status=status, headers=headers))

    exc = raised(lambda: ada.say(None, "x"), kind, status)

    assert (exc.type, exc.code, exc.param) == ("some_error", "some_code", "temperature")
    assert exc.response.json() == said
    assert headers.items() <= dict(exc.response.headers).items()


def test_a_refused_credential_of_the_gateway(stub: OpenAIStub, ada: Person) -> None:
    stub.reply_with(Json(error("Incorrect API key: sk-provi****v2mZ", code="invalid_api_key"), status=401))
    exc = raised(lambda: ada.say(None, "x"), openai.AuthenticationError, 401)
    assert exc.code == "provider_authentication_error"
    assert "sk-provi" not in exc.response.text


@pytest.mark.parametrize(
    ("model", "behaviour", "status", "code"),
    [
        ("nowhere", None, 502, "provider_unavailable"),
        ("fast", Raw(b"<html>hello</html>", content_type="text/html"), 502, "provider_unavailable"),
        ("fast", Hang(), 504, "provider_timeout"),
    ],
    ids=["refuses connections", "sends garbage", "says nothing"],
)
def test_a_provider_that_breaks(
    stub: OpenAIStub, ada: Person, model: str, behaviour: Behaviour | None, status: int, code: str
) -> None:
    if behaviour is not None:
        stub.reply_with(behaviour)
    session = ada.new_session()
    exc = raised(lambda: ada.say(session, "x", model=model), openai.InternalServerError, status)
    assert (exc.type, exc.code) == ("provider_error", code)
    assert ada.statuses(session) == [("user", "failed")]


# ── what the database says ───────────────────────────────────────────────────────────────────────────────────────


def test_a_database_that_another_process_holds(stub: OpenAIStub, strict: GatewayProcess, ada: Person) -> None:
    session = ada.new_session()
    before = ada.http.get(f"/chat/sessions/{session}").json()
    with closing(sqlite3.connect(database(strict), isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        refused = ada.http.post("/chat/sessions", json={})
        assert refusal(refused, 503)["code"] == "storage_unavailable"
        assert int(refused.headers["retry-after"]) > 0
        exc = raised(lambda: ada.say(session, "lost"), openai.InternalServerError, 503)
        assert exc.code == "storage_unavailable"
        assert b"[DONE]" not in ada.stream_bytes(session, "lost")
        holder.execute("ROLLBACK")

    assert ada.http.get(f"/chat/sessions/{session}").json() == before
    assert ada.stored(session) == []
    ada.say(session, "kept")
    assert ada.statuses(session) == [("user", "complete"), ("assistant", "complete")]
    assert [message["content"] for message in stub.requests[-1].body["messages"]] == ["kept"]


def test_a_database_that_is_overwritten(stub: OpenAIStub, tmp_path: Path) -> None:
    models = [{"name": "fast", "model": "openai/gpt-4o-mini", "api_base": stub.base_url, "api_key": "x"}]
    with GatewayProcess(tmp_path, {"models": models}) as broken, person_at(broken) as person:
        person.say(person.new_session(), "kept")
        another = person.new_session()  # which has to be read, unlike that of the last turn
        file = database(broken)
        file.write_bytes(b"x" * file.stat().st_size)

        exc = raised(lambda: person.say(another, "lost"), openai.InternalServerError, 503)

        assert exc.code == "storage_unavailable"
        assert int(exc.response.headers["retry-after"]) > 0
        assert refusal(person.http.get("/readyz"), 503)["code"] == "storage_unavailable"
        assert person.http.get("/healthz").status_code == 200
    assert len(stub.requests) == 1


def database(gateway: GatewayProcess) -> Path:
    return gateway.directory / "data" / "gateway.db"
