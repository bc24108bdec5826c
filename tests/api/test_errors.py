"""Every error that a request can earn before its provider is called: its status, its code, and what it is about."""

from collections.abc import AsyncIterator

import pytest

from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Json, Person, compose, refusal

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "x"}


def chat(**fields: object) -> Json:
    return {"model": "fast", "messages": [USER], **fields}


# ── routes ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nope"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/chat/completions"),
        ("GET", "/chat/sessions/"),
        ("GET", "/chat/sessions/a/b"),
        ("GET", "/V1/models"),
        ("DELETE", "/%2e%2e/admin"),
        ("POST", "/v1/embeddings"),
    ],
)
async def test_an_unknown_route(ada: Person, method: str, path: str) -> None:
    error = refusal(await ada.http.request(method, path), 404)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "unknown_url")
    assert error["message"].startswith(f"Unknown request URL: {method} /")


async def test_a_path_that_is_the_pattern_of_a_route_names_a_session_of_no_ids_form(ada: Person) -> None:
    assert refusal(await ada.http.get("/chat/sessions/%7Bsession_id%7D"), 404)["code"] == "session_not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, {"POST"}),
        ("OPTIONS", CHAT, {"POST"}),
        ("DELETE", "/v1/models", {"GET", "HEAD"}),
        ("POST", "/v1/models/fast", {"GET", "HEAD"}),
        ("PUT", "/chat/sessions", {"GET", "HEAD", "POST"}),
        ("POST", "/chat/sessions/x", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("POST", "/chat/sessions/x/messages", {"GET", "HEAD"}),
        ("TRACE", "/chat/sessions", {"GET", "HEAD", "POST"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("DELETE", "/readyz", {"GET", "HEAD"}),
    ],
)
async def test_another_method(ada: Person, method: str, path: str, allowed: set[str]) -> None:
    response = await ada.http.request(method, path)
    assert refusal(response, 405)["code"] == "method_not_allowed"
    assert set(response.headers["allow"].split(", ")) == allowed


async def test_head_of_what_cannot_be_got(ada: Person) -> None:
    response = await ada.http.head(CHAT)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/fast", "/chat/sessions", "/openapi.json", "/healthz"])
async def test_head_answers_as_get_does(ada: Person, path: str) -> None:
    got, headed = await ada.http.get(path), await ada.http.head(path)
    assert headed.status_code == got.status_code == 200
    assert headed.headers["content-length"] == got.headers["content-length"]


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


def nested(depth: int) -> bytes:
    metadata = b'{"a":' * depth + b"1" + b"}" * depth
    return b'{"model": "fast", "messages": [{"role": "user", "content": "x"}], "metadata": ' + metadata + b"}"


NOT_JSON = {
    "nothing": b"",
    "half": b'{"model": "fast"',
    "an array": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "NaN": b'{"model": "fast", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
    "infinity": b'{"model": "fast", "messages": [{"role": "user", "content": "x"}], "temperature": -Infinity}',
    "a lone surrogate": b'{"model": "fast", "messages": [{"role": "user", "content": "\\ud83d"}]}',
    "no UTF-8": b'{"model": "fast", "messages": [{"role": "user", "content": "\xff"}]}',
    "a form": b"model=fast",
    "deep nesting": nested(300),
    "nesting that no parser follows": b"[" * 100_000,
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_a_body_that_is_no_json_object(gateway: Composed, ada: Person, body: bytes) -> None:
    error = refusal(await ada.http.post(CHAT, content=body), 400)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_json")
    assert gateway.stub.requests == []


@pytest.fixture
async def small() -> AsyncIterator[Composed]:
    async with compose(InMemoryStore(), {"server": {"max_body_bytes": 1024}}) as gateway:
        yield gateway


async def pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 100):
        yield b" " * 100


@pytest.mark.parametrize("path", [CHAT, "/chat/sessions"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large(small: Composed, path: str, chunked: bool) -> None:
    ada = await small.person()
    content = pieces(1100) if chunked else b" " * 1025
    error = refusal(await ada.http.post(path, content=content), 413)
    assert (error["type"], error["code"]) == ("invalid_request_error", "request_too_large")
    assert "1024 bytes" in error["message"]
    assert small.stub.requests == []


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────────────────

FIELDS: list[tuple[Json, str, str]] = [
    ({"messages": [USER]}, "model", "missing_required_parameter"),
    ({"model": "fast"}, "messages", "missing_required_parameter"),
    (chat(model=5), "model", "invalid_value"),
    (chat(model=""), "model", "invalid_value"),
    (chat(messages=[]), "messages", "invalid_value"),
    (chat(messages="x"), "messages", "invalid_value"),
    (chat(messages=["x"]), "messages[0]", "invalid_type"),
    (chat(messages=[{"content": "x"}]), "messages[0].role", "invalid_value"),
    (chat(messages=[USER, {"role": "robot", "content": "x"}]), "messages[1].role", "invalid_value"),
    (chat(messages=[{"role": "user"}]), "messages[0].content", "invalid_type"),
    (chat(messages=[{"role": "user", "content": 5}]), "messages[0].content", "invalid_type"),
    (chat(messages=[{"role": "user", "content": ["x"]}]), "messages[0].content[0]", "invalid_type"),
    (chat(messages=[{"role": "tool", "content": "x"}]), "messages[0].tool_call_id", "invalid_value"),
    (chat(messages=[{"role": "assistant", "tool_calls": "x"}]), "messages[0].tool_calls", "invalid_type"),
    (chat(messages=[{"role": "assistant", "tool_calls": [{}]}]), "messages[0].tool_calls[0].id", "invalid_type"),
    (chat(stream="yes"), "stream", "invalid_type"),
    (chat(stream_options={"include_usage": True}), "stream_options", "invalid_value"),
    (chat(stream=True, stream_options=[]), "stream_options", "invalid_type"),
    (chat(stream=True, stream_options={"x": 1}), "stream_options.x", "unknown_parameter"),
    (chat(stream=True, stream_options={"include_usage": 1}), "stream_options.include_usage", "invalid_type"),
    (chat(n=0), "n", "invalid_value"),
    (chat(n="2"), "n", "invalid_type"),
    (chat(max_tokens=0), "max_tokens", "invalid_value"),
    (chat(max_completion_tokens=1.5), "max_completion_tokens", "invalid_type"),
    (chat(max_history_messages=-1), "max_history_messages", "invalid_value"),
    (chat(max_history_messages=1001), "max_history_messages", "invalid_value"),
    (chat(max_history_messages=True), "max_history_messages", "invalid_type"),
    (chat(session_id=""), "session_id", "invalid_value"),
    (chat(session_id="a b"), "session_id", "invalid_value"),
    (chat(session_id="x" * 129), "session_id", "invalid_value"),
    (chat(session_id=5), "session_id", "invalid_value"),
    (chat(api_base="http://169.254.169.254"), "api_base", "unknown_parameter"),
    (chat(mock_response="x"), "mock_response", "unknown_parameter"),
    (chat(tempreature=1), "tempreature", "unknown_parameter"),
]


@pytest.mark.parametrize(("body", "param", "code"), FIELDS, ids=[f"{param}-{code}" for _, param, code in FIELDS])
async def test_a_field_that_is_wrong_is_named(
    gateway: Composed, ada: Person, body: Json, param: str, code: str
) -> None:
    error = refusal(await ada.http.post(CHAT, json=body), 400)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert gateway.stub.requests == []
    assert await gateway.ledger(ada) == []


async def test_an_out_of_range_limit_is_told_the_range(ada: Person) -> None:
    error = refusal(await ada.ask(None, max_history_messages=1001), 400)
    assert "from 0 to 1000" in error["message"]


async def test_an_unknown_field_is_told_the_setting_that_lets_it_through(ada: Person) -> None:
    assert "allow_params" in refusal(await ada.ask(None, tempreature=1), 400)["message"]


async def test_an_unknown_model(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    for response in (await ada.ask(session, model="nope"), await ada.http.get("/v1/models/nope")):
        error = refusal(response, 404)
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")
        assert "Models here: fast, slow, echo." in error["message"]
    assert await ada.messages(session) == []
    assert await gateway.ledger(ada) == []


# ── request ids ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/v1/models", "/nope", "/healthz"])
async def test_a_callers_own_request_id_is_kept(ada: Person, path: str) -> None:
    response = await ada.http.get(path, headers={"x-request-id": "trace-1.2:3_4"})
    assert response.headers.get_list("x-request-id") == ["trace-1.2:3_4"]


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb"])
async def test_a_request_id_that_is_none_is_replaced(ada: Person, given: str) -> None:
    response = await ada.http.get("/v1/models", headers={"x-request-id": given})
    assert response.headers["x-request-id"].startswith("req_")


async def test_every_request_has_an_id_of_its_own(ada: Person) -> None:
    async def request_id() -> str:
        return str((await ada.http.get("/v1/models")).headers["x-request-id"])

    assert await request_id() != await request_id()


async def test_a_turn_is_in_the_ledger_under_the_requests_id(gateway: Composed, ada: Person) -> None:
    response = await ada.say(None)
    assert [entry.request_id for entry in await gateway.ledger(ada)] == [response.headers["x-request-id"]]
