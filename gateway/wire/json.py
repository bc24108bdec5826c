"""JSON as the gateway reads and writes it: UTF-8 bytes through orjson, one answer to every hostile input.

orjson refuses NaN, infinities and lone surrogates; so does every store behind us, each in its own way, so that the
request is where to say it. Nesting is refused where orjson could read but not write it again.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.errors import InvalidRequest

_DEEPEST = 254
"""Levels of nesting that orjson writes; it reads 1,024."""

_MOST_CONTAINERS = 250_000
"""Opening brackets in a body, those in texts too. Twenty megabytes of `[]` would hold the event loop for seconds."""


def parse_object(body: bytes) -> dict[str, Any]:
    """The request body as a dict. Raises InvalidRequest for anything that is not a JSON object."""
    if len(body) > _MOST_CONTAINERS and body.count(b"{") + body.count(b"[") > _MOST_CONTAINERS:
        raise InvalidRequest(
            f"The request body holds more than {_MOST_CONTAINERS} objects and arrays.", code="invalid_json"
        )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        place = f"line {exc.lineno}, column {exc.colno}"
        raise InvalidRequest(
            f"The request body is not valid JSON ({exc.msg} at {place}).", code="invalid_json"
        ) from exc
    if not isinstance(value, dict):
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_json")
    if is_too_deep(body, value):
        raise InvalidRequest(f"The request body is nested deeper than {_DEEPEST} levels.", code="invalid_json")
    return value


def parse_array(fragments: Sequence[bytes]) -> list[dict[str, Any]]:
    """The objects of an array that is given in pieces, each of them one or more objects with commas between."""
    objects: list[dict[str, Any]] = orjson.loads(b"[%b]" % b",".join(fragments))
    return objects


def dump(value: Any) -> bytes:
    return orjson.dumps(value)


def is_too_deep(body: bytes, value: Any) -> bool:
    """True if `value`, which was read from `body`, could not be written again. Cheap for what is plainly not deep."""
    may_be = len(body) > 2 * _DEEPEST and body.count(b"{") + body.count(b"[") > _DEEPEST
    return may_be and not _is_writable(value)


def _is_writable(value: Any) -> bool:
    """Of what orjson has read, only nesting can keep it from writing."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True
