"""Which texts can be stored: those that every database takes, so that each adapter gives the same answer.

PostgreSQL has no NUL in its texts, SQLite no lone surrogates. Message bodies need no check: they are JSON, in which
both are escaped.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.errors import InvalidRequest

_NUL_IN_JSON = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # escaped; not the same six characters after a backslash


def is_storable(*texts: str | None) -> bool:
    """False as soon as one of them has a NUL or half a surrogate pair. Looking for such a text finds nothing."""
    together = "".join([text for text in texts if text])  # one look at many short texts
    return "\0" not in together and not _has_surrogates(together)


def check_texts(*texts: str | None) -> None:
    """Raises InvalidRequest unless all of them can be stored."""
    if not is_storable(*texts):
        raise InvalidRequest(
            "Text with a NUL character or half a surrogate pair cannot be stored. Remove it.", code="invalid_value"
        )


def check_json(value: Mapping[str, Any]) -> None:
    """As check_texts, for every key and text in a JSON object. Also raises InvalidRequest if it is not JSON."""
    try:
        encoded = orjson.dumps(value)
    except TypeError as exc:
        raise InvalidRequest("Metadata must be a JSON object of valid text.", code="invalid_value") from exc
    if has_nul(encoded):
        check_texts("\0")


def has_nul(encoded: bytes) -> bool:
    """Whether JSON has a NUL in one of its texts."""
    return _NUL_IN_JSON.search(encoded) is not None


def _has_surrogates(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
