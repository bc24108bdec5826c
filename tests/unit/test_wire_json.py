"""A request's body is a JSON object that can be written again, or a 400."""

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.wire.json import dump, parse_array, parse_object
from tests.unit.json_values import json_objects


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_object(body)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "invalid_json", None)
    return caught.value.message


def test_an_object_is_parsed() -> None:
    assert parse_object(' {"a": [1, "é", null]} '.encode()) == {"a": [1, "é", None]}


@given(json_objects())
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    assert parse_object(dump(value)) == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0aeE-+.\\u \n', max_size=40).map(str.encode))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_object(body), dict)


def test_a_refusal_says_where_the_mistake_is() -> None:
    message = refusal(b'{"a": 1,\n "b" 2}')
    assert message.startswith("The request body is not valid JSON (")
    assert message.endswith(" at line 2, column 6).")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_orjson_refuses_is_refused(body: bytes) -> None:
    assert refusal(body).startswith("The request body is not valid JSON (")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"{}"', b"null"])
def test_only_an_object_will_do(body: bytes) -> None:
    assert refusal(body) == "The request body must be a JSON object."


def test_nesting_is_refused_where_it_could_not_be_written_again() -> None:
    assert dump(parse_object(nested(254))) == nested(254)
    assert refusal(nested(255)) == "The request body is nested deeper than 254 levels."
    assert refusal(b'{"a":' + b"[" * 600 + b"]" * 600 + b"}") == "The request body is nested deeper than 254 levels."
    assert "JSON" in refusal(nested(5000))


def test_many_brackets_side_by_side_are_no_nesting() -> None:
    body = orjson.dumps({"messages": [{"content": [{"type": "text"}]}] * 1000, "text": "[" * 1000})
    assert dump(parse_object(body)) == body


def test_a_body_of_nothing_but_brackets_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidRequest, match="more than 250000 objects and arrays"):
        parse_object(b'{"a":[' + b"[]," * 250_000 + b"[]]}")


def test_pieces_of_an_array_are_read_as_one() -> None:
    assert parse_array([b'{"a":1}', b'{"b":2}, {"c":3}']) == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert parse_array([]) == []
