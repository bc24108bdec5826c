"""Encoding: values → HTTP responses. All bodies are JSON, all errors have OpenAI's shape."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.wire.json import dump


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(dump(value), status, dict(headers or {}), media_type="application/json")


def error_response(error: GatewayError) -> Response:
    return json_response(error.body(), error.status, error.headers)


def list_response(items: list[Any], *, has_more: bool) -> Response:
    # Encoded one by one: what is nested as deep as can be written is too deep for it with a list around it.
    data = b",".join([dump(item) for item in items])
    body = b'{"object":"list","data":[' + data + b'],"has_more":' + dump(has_more) + b"}"
    return Response(body, media_type="application/json")


def timestamp(value: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the microsecond."""
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def send_json(scope: Scope, receive: Receive, send: Send, body: bytes, headers: Mapping[str, str]) -> None:
    """Send bytes that are JSON already."""
    await Response(body, 200, dict(headers), media_type="application/json")(scope, receive, send)
