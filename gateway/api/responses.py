"""Encoding: values → HTTP responses. All bodies are JSON, all errors have OpenAI's shape."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.types import Send

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


async def send_json(send: Send, body: bytes, headers: Mapping[str, str]) -> None:
    """Send bytes that are JSON already, with status 200."""
    raw = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json"), *raw_headers(headers)]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI takes them. Their names are in lower case."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
