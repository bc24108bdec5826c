"""Reading request bodies, up to a size."""

from starlette.types import Receive, Scope

from gateway.api.context import header
from gateway.errors import ClientDisconnected, InvalidRequest, PayloadTooLarge


async def read_body(scope: Scope, receive: Receive, limit: int, *, default: bytes | None = None) -> bytes:
    """The whole body, or `default` in place of an empty one.

    Raises PayloadTooLarge past `limit` bytes, without reading on; ClientDisconnected; InvalidRequest if there is no
    body.
    """
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if not body and default is None:
        raise InvalidRequest("The request has no body; a JSON object is expected.", code="invalid_json")
    return body or default or b""


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The request body is larger than the {limit} bytes that this gateway takes (server.max_body_bytes)."
    )
