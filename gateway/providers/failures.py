"""A provider's answer → the error that its caller is to see.

Only what stands in the provider's own JSON error body is passed on, and never a piece of the credential that the
gateway called it with: some providers repeat part of a refused key.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import inf
from typing import Any

import orjson

from gateway.domain import Deployment
from gateway.errors import GatewayError, ProviderBroken, ProviderError, ProviderTimeout

_PASSED = frozenset({"retry-after", "retry-after-ms", "openai-processing-ms"})
_RETRY_ADVICE = "x-should-retry"
_PASSING = frozenset({408, 409, 429})
"""Statuses below 500 that may pass by themselves; 409 as OpenAI's SDKs have it."""
_REFUSED = frozenset({401, 402, 403})
"""Statuses that refuse the gateway's credential or account, and not the request."""
_PIECE = 4
"""Characters of a key that would give it away: providers mask the middle and show as few as four at its ends."""


def passed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those headers of a provider's reply that may go on to the client, their names in lower case.

    Values that are not printable ASCII stay behind: not every server could send them on.
    """
    passed = {}
    for name, value in headers.items():
        lowered = name.lower()
        is_known = lowered in _PASSED or lowered.startswith("x-ratelimit-")
        if is_known and value.isascii() and value.isprintable():
            passed[lowered] = value
    return passed


def error_from_answer(deployment: Deployment, status: int, body: bytes, headers: Mapping[str, str]) -> ProviderError:
    """The error for an answer with an error status, from its body as far as that has a known shape."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = None
    passed = passed_headers(headers)
    passed |= {name.lower(): value for name, value in headers.items() if name.lower() == _RETRY_ADVICE}
    return _provider_error(deployment, status, _details(data), passed)


def error_in_reply(deployment: Deployment, data: Any) -> ProviderError | None:
    """The error in a body or event that came with status 200, if it is one; its `code` is the status if it can be."""
    if not isinstance(data, dict) or not data.get("error"):
        return None
    details = _details(data)
    code = details.get("code")
    status = code if isinstance(code, int) and 400 <= code <= 599 else 502
    return _provider_error(deployment, status, details, {})


def broken(deployment: Deployment, what: str) -> ProviderBroken:
    """`what` completes the sentence "The provider of model 'x' …": no addresses in it, no text of an exception."""
    return ProviderBroken(f"The provider of model {deployment.name!r} {what}.")


def timed_out(deployment: Deployment) -> ProviderTimeout:
    return ProviderTimeout(f"The provider of model {deployment.name!r} did not answer in time.")


def is_passing(error: GatewayError) -> bool:
    """True for an error that may pass by itself, so that even the same deployment may be asked again."""
    if isinstance(error, ProviderError):
        return _is_passing(error.status) and error.headers.get(_RETRY_ADVICE) != "false"
    return isinstance(error, ProviderBroken | ProviderTimeout)


def is_the_deployments(error: GatewayError) -> bool:
    """True for an error that is the deployment's fault and not the request's: another one may do better."""
    if isinstance(error, ProviderError):
        return _is_passing(error.status) or error.status in _REFUSED
    return isinstance(error, ProviderBroken | ProviderTimeout)


def retry_after(error: GatewayError, clock: Callable[[], float] = time.time) -> float:
    """Seconds that the provider asked to be left alone for; 0 if it did not. A date is held against `clock`."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(error.headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if 0 < seconds < inf:
            return seconds
    return _seconds_until(error.headers.get("retry-after", ""), clock)


def _seconds_until(date: str, clock: Callable[[], float]) -> float:
    """0 for one that is over, and for what is no date as HTTP writes them."""
    try:
        at = parsedate_to_datetime(date)
        # HTTP's dates are GMT, also those that say "-0000", or nothing.
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - clock())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def _is_passing(status: int) -> bool:
    return status in _PASSING or status >= 500


def _details(data: Any) -> dict[str, Any]:
    """{message, type, code, param} from the shapes that providers use: OpenAI's, and three plainer ones."""
    if not isinstance(data, dict):
        return {}
    error = data.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {**data, "message": error}
    return {"message": data.get("detail"), **data}


def _provider_error(
    deployment: Deployment, status: int, details: Mapping[str, Any], headers: Mapping[str, str]
) -> ProviderError:
    refused = status in {401, 403}  # the gateway's credential, which the caller must not take for its own
    code = "provider_authentication_error" if refused else _code(deployment, details.get("code"))
    return ProviderError(
        _message(deployment, status, details.get("message")),
        status=status,
        type=_harmless(deployment, details.get("type")),
        code=code,
        param=_harmless(deployment, details.get("param")),
        headers=headers,
    )


def _message(deployment: Deployment, status: int, message: Any) -> str:
    if status == 401:
        return f"The provider of model {deployment.name!r} refused the gateway's credential."
    return _harmless(deployment, message) or f"The provider of model {deployment.name!r} answered with status {status}."


def _shows_key(key: str | None, message: str) -> bool:
    if not key:
        return False
    return key[: 2 * _PIECE] in message or key[-_PIECE:] in message


def _code(deployment: Deployment, code: Any) -> str | None:
    return str(code) if isinstance(code, int) and not isinstance(code, bool) else _harmless(deployment, code)


def _harmless(deployment: Deployment, value: Any) -> str | None:
    """The value if it is a text with something in it and no piece of the credential."""
    return value if isinstance(value, str) and value and not _shows_key(deployment.api_key, value) else None
