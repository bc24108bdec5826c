"""Every error that the gateway raises on purpose.

    GatewayError                 has an HTTP status and OpenAI's {message, type, param, code}
    ├── InternalError            500  our own mistake
    ├── InvalidRequest           400  the body, a field or a setting is wrong
    │   └── ContextLengthExceeded
    ├── AuthenticationFailed     401  no key, or one that is not (any longer) valid
    ├── PermissionDenied         403  a valid key without the scope, or for other models
    ├── NotFound                 404  route, model, session, user or key
    ├── MethodNotAllowed         405
    ├── Conflict                 409  a session locked, archived or there already; one's own user; a key that has ended
    ├── PayloadTooLarge          413
    ├── RateLimited              429  more than a limit of the key or the user lets through in a minute, or at once
    │   └── QuotaExceeded             … or in a day or month
    ├── ClientDisconnected       499  nobody is left to answer; only the log sees it
    ├── StorageUnavailable       503  the database does not answer
    ├── LimitsUnavailable        503  what counts the limits does not answer
    ├── ShuttingDown             503
    ├── ProviderError            the provider answered with an error: its status, body and headers go through
    ├── ProviderBroken           502  it could not be reached, or sent what is not its protocol
    └── ProviderTimeout          504

Adapters translate foreign exceptions at their edge (`raise … from exc`); an exception's own text never reaches a
client.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class GatewayError(Exception):
    """An error with the HTTP status and the body that the client is to see."""

    status = 500
    type = "server_error"
    code: str | None = None
    always: ClassVar[Mapping[str, str]] = {}
    """Headers that every error of the class carries."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else type(self).code
        self.headers: Mapping[str, str] = {**self.always, **(headers or {})}

    def body(self) -> dict[str, Any]:
        """OpenAI's error body: all four fields are always there."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InternalError(GatewayError):
    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("The gateway made a mistake while serving this request. Its log says more, by request id.")


class InvalidRequest(GatewayError):
    status = 400
    type = "invalid_request_error"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class AuthenticationFailed(GatewayError):
    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"
    always: ClassVar[Mapping[str, str]] = {"www-authenticate": "Bearer"}


class PermissionDenied(GatewayError):
    status = 403
    type = "invalid_request_error"
    code = "insufficient_permissions"


class NotFound(GatewayError):
    status = 404
    type = "invalid_request_error"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class Conflict(GatewayError):
    status = 409
    type = "invalid_request_error"


class PayloadTooLarge(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class RateLimited(GatewayError):
    """The key or the user has reached a limit of the gateway's own. Nothing was sent to a provider, nothing stored."""

    status = 429
    code = "rate_limit_exceeded"

    def __init__(
        self,
        message: str,
        *,
        type: str,  # noqa: A002 - OpenAI's word
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(message, headers=headers)
        self.type = type


class QuotaExceeded(RateLimited):
    code = "insufficient_quota"


class ClientDisconnected(GatewayError):
    status = 499
    code = "client_disconnected"

    def __init__(self) -> None:
        super().__init__("The client closed the connection.")


class StorageUnavailable(GatewayError):
    status = 503
    code = "storage_unavailable"
    always: ClassVar[Mapping[str, str]] = {"retry-after": "1"}

    def __init__(self, message: str = "The gateway's database does not answer. Try again shortly.") -> None:
        super().__init__(message)


class LimitsUnavailable(GatewayError):
    status = 503
    code = "limits_unavailable"
    always: ClassVar[Mapping[str, str]] = {"retry-after": "1"}

    def __init__(self) -> None:
        super().__init__("The gateway cannot count this key's limits at the moment. Try again shortly.")


class ShuttingDown(GatewayError):
    status = 503
    code = "shutting_down"
    always: ClassVar[Mapping[str, str]] = {"retry-after": "1"}

    def __init__(self) -> None:
        super().__init__("This gateway is shutting down. Try again in a moment, or at another replica.")


class ProviderError(GatewayError):
    """The provider answered with an error of its own.

    Only what the provider itself put into its error body is passed on: never the text of an exception, which may
    hold messages, addresses or credentials.
    """

    type = "provider_error"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str | None = None,  # noqa: A002 - OpenAI's word
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, param=param, headers=headers)
        self.status = status
        if type is not None:
            self.type = type


class ProviderBroken(GatewayError):
    status = 502
    type = "provider_error"
    code = "provider_unavailable"


class ProviderTimeout(GatewayError):
    status = 504
    type = "provider_error"
    code = "provider_timeout"


def session_not_found(session_id: str) -> NotFound:
    """One answer for an unknown, a deleted and somebody else's session: nobody learns which it is."""
    return NotFound(
        f"Session {session_id!r} was not found. Create one with POST /chat/sessions.",
        code="session_not_found",
        param="session_id",
    )


def model_not_allowed(name: str, allowed: Iterable[str]) -> PermissionDenied:
    return PermissionDenied(
        f"This API key may not use the model {name[:64]!r}. It may use: {', '.join(sorted(allowed))}.",
        code="model_not_allowed",
        param="model",
    )


def session_archived(session_id: str) -> Conflict:
    return Conflict(
        f"Session {session_id!r} is archived and takes no new messages. Unarchive it, or use another session.",
        code="session_archived",
        param="session_id",
    )
