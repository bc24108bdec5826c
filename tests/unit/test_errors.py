"""Every error of the tree has OpenAI's body: one test for all of them, so that a new one cannot differ."""

import orjson
import pytest

from gateway.errors import (
    AuthenticationFailed,
    ClientDisconnected,
    Conflict,
    ContextLengthExceeded,
    GatewayError,
    InternalError,
    InvalidRequest,
    LimitsUnavailable,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    ProviderBroken,
    ProviderError,
    ProviderTimeout,
    QuotaExceeded,
    RateLimited,
    ShuttingDown,
    StorageUnavailable,
    session_not_found,
)

STATUSES: dict[type[GatewayError], int] = {
    GatewayError: 500,
    InternalError: 500,
    InvalidRequest: 400,
    ContextLengthExceeded: 400,
    AuthenticationFailed: 401,
    PermissionDenied: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    PayloadTooLarge: 413,
    RateLimited: 429,
    QuotaExceeded: 429,
    ClientDisconnected: 499,
    StorageUnavailable: 503,
    LimitsUnavailable: 503,
    ShuttingDown: 503,
    ProviderBroken: 502,
    ProviderTimeout: 504,
}


def tree(root: type[GatewayError] = GatewayError) -> list[type[GatewayError]]:
    """The classes of gateway.errors; subclasses that live elsewhere belong to their own module's tests."""
    children = [child for child in root.__subclasses__() if child.__module__ == GatewayError.__module__]
    return [root, *(error for child in children for error in tree(child))]


def make(error: type[GatewayError]) -> GatewayError:
    if error in (ClientDisconnected, InternalError, LimitsUnavailable, ShuttingDown):
        return error()  # these bring their own message
    if issubclass(error, ProviderError):
        return error("It broke.", status=418)
    if issubclass(error, RateLimited):
        return error("It was too much.", type="tokens", headers={})
    return error("It broke.")


@pytest.mark.parametrize("error", tree())
def test_every_error_has_the_body_of_openai(error: type[GatewayError]) -> None:
    made = make(error)
    body = orjson.loads(orjson.dumps(made.body()))
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    assert body["error"] == {"message": made.message, "type": made.type, "param": None, "code": error.code}
    assert str(made) == made.message
    assert made.message.endswith(".")


@pytest.mark.parametrize("error", tree())
def test_every_error_has_its_status(error: type[GatewayError]) -> None:
    assert make(error).status == {**STATUSES, ProviderError: 418}[error]


def test_an_error_takes_its_code_param_and_headers_from_where_it_is_raised() -> None:
    error = AuthenticationFailed("No.", code="missing_api_key", param="key", headers={"x-a": "1"})
    assert error.body()["error"]["code"] == "missing_api_key"
    assert error.body()["error"]["param"] == "key"
    assert error.headers == {"www-authenticate": "Bearer", "x-a": "1"}


def test_headers_of_one_error_do_not_reach_the_next() -> None:
    AuthenticationFailed("No.", headers={"x-a": "1"})
    assert AuthenticationFailed("No.").headers == {"www-authenticate": "Bearer"}


@pytest.mark.parametrize("error", [StorageUnavailable(), ShuttingDown()])
def test_what_passes_by_itself_says_when_to_try_again(error: GatewayError) -> None:
    assert error.headers == {"retry-after": "1"}


def test_a_provider_error_keeps_the_status_and_type_of_the_provider() -> None:
    error = ProviderError(
        "Slow down.", status=429, type="rate_limit", code="rpm", param="model", headers={"retry-after": "7"}
    )
    assert (error.status, error.headers) == (429, {"retry-after": "7"})
    assert error.body()["error"] == {"message": "Slow down.", "type": "rate_limit", "param": "model", "code": "rpm"}


def test_a_provider_error_without_a_type_is_a_provider_error() -> None:
    assert ProviderError("No.", status=400).body()["error"]["type"] == "provider_error"


def test_one_answer_for_every_session_that_is_not_found() -> None:
    error = session_not_found("sess_1")
    assert (error.status, error.code, error.param) == (404, "session_not_found", "session_id")
    assert "'sess_1'" in error.message
