"""litellm's exceptions → ours, by class.

Their texts hold messages, addresses and prompts, and their statuses are often guesses from those texts. So an exception
is followed down its causes to what really happened: the HTTP answer, the timeout or the broken connection. Imported
only once litellm is, whose libraries it names.
"""

import json
from collections.abc import Iterator

import aiohttp
import httpx
import openai
import orjson

from gateway.domain import Deployment
from gateway.errors import GatewayError, InvalidRequest
from gateway.providers.failures import broken, error_from_answer, error_in_reply, timed_out


def translate(exc: Exception, deployment: Deployment, *, streaming: bool = False) -> GatewayError:
    """The error to raise for `exc`. `streaming`: it came after the provider's status, in the middle of a reply."""
    for link in _chain(exc):
        if error := _from_cause(link, deployment):
            return error
    return _from_litellm(exc, deployment, streaming=streaming)


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """The exception and what led to it, outermost first; not further than an error of ours that was being handled."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen and not isinstance(exc, GatewayError):
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def _from_cause(exc: BaseException, deployment: Deployment) -> GatewayError | None:
    match exc:
        case httpx.HTTPStatusError():
            return error_from_answer(deployment, exc.response.status_code, _content(exc.response), exc.response.headers)
        case httpx.TimeoutException() | TimeoutError():
            return timed_out(deployment)
        case httpx.ConnectError():
            return broken(deployment, "cannot be reached")
        case httpx.TransportError() | httpx.StreamError() | aiohttp.ClientError() | ConnectionError():
            return broken(deployment, "broke the connection off, or sent what is not HTTP")
        case json.JSONDecodeError() | orjson.JSONDecodeError():
            return broken(deployment, "answered with something that is not JSON")
        case openai.APIError() if type(exc) is openai.APIError:  # an error event in a stream
            return error_in_reply(deployment, {"error": exc.body})
    return None


def _from_litellm(exc: Exception, deployment: Deployment, *, streaming: bool) -> GatewayError:
    """For exceptions with nothing beneath: litellm's own refusals, and error events that it has read for us."""
    status = getattr(exc, "status_code", None)
    if isinstance(exc, openai.APITimeoutError):
        return timed_out(deployment)
    if isinstance(exc, ImportError):
        return broken(deployment, "is served by a Python package that is not installed here")
    if status == 400:
        return InvalidRequest(f"The request cannot be put into what the provider of {deployment.name!r} understands.")
    if isinstance(status, int) and (400 <= status < 500 or streaming):
        return error_from_answer(deployment, status, b"", {})
    return broken(deployment, "answered with something that is not a chat completion")


def _content(response: httpx.Response) -> bytes:
    try:
        return response.content
    except httpx.ResponseNotRead:
        return b""
