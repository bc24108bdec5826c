"""What the sessions and key routes take, and what they say of the rest."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from pydantic import BaseModel
from starlette.datastructures import QueryParams

from gateway.api.schemas import (
    KeyInput,
    MessagePaging,
    Paging,
    SearchPaging,
    SessionInput,
    SessionPaging,
    validate,
    validate_query,
)
from gateway.domain import IMPORT_MARK
from gateway.errors import InvalidRequest
from gateway.wire.json import parse_object
from tests.unit.json_values import json_objects


def refusal(model: type[BaseModel], data: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        validate(model, data)
    assert caught.value.status == 400
    return caught.value


def test_every_setting_of_a_session_may_be_left_out() -> None:
    assert validate(SessionInput, {}) == SessionInput()
    assert SessionInput().metadata is None


def test_settings_of_a_session_are_taken_as_they_are() -> None:
    data = {
        "session_name": "Trip",
        "model": "fast",
        "max_history_messages": 5,
        "system_prompt": "Be brief.",
        "metadata": {"a": [1, {"b": None}]},
        "ttl_seconds": 3600,
    }
    assert validate(SessionInput, data).model_dump() == data


def test_what_was_named_is_known_from_what_was_left_out() -> None:
    assert validate(SessionInput, {"model": None}).model_fields_set == {"model"}


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "field", "value", "allowed"),
    [
        (SessionInput, "max_history_messages", -1, "from 0 to 1000"),
        (SessionInput, "max_history_messages", 1001, "from 0 to 1000"),
        (SessionInput, "ttl_seconds", 59, "from 60 to 315360000"),
        (SessionInput, "ttl_seconds", 315_360_001, "from 60 to 315360000"),
        (Paging, "limit", "0", "from 1 to 100"),
        (Paging, "limit", "101", "from 1 to 100"),
        (Paging, "offset", "-1", "from 0 to 2147483648"),
        (MessagePaging, "limit", "501", "from 1 to 500"),
    ],
)
def test_a_number_out_of_its_range_is_told_the_range(
    model: type[BaseModel], field: str, value: object, allowed: str
) -> None:
    error = refusal(model, {field: value})
    assert error.message == f"Invalid '{field}': expected an integer {allowed}."
    assert (error.param, error.code) == (field, "invalid_value")


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_history_messages", 0), ("max_history_messages", 1000), ("ttl_seconds", 60), ("ttl_seconds", 315_360_000)],
)
def test_the_ends_of_a_range_are_inside(field: str, value: int) -> None:
    assert getattr(validate(SessionInput, {field: value}), field) == value


def test_an_unknown_field_is_told_the_known_ones() -> None:
    error = refusal(SessionInput, {"name": "Trip"})
    assert error.message == (
        "Unknown field 'name'; known are session_name, model, max_history_messages, system_prompt, metadata, "
        "ttl_seconds."
    )
    assert (error.param, error.code) == ("name", "unknown_parameter")


def test_a_missing_field_is_named() -> None:
    error = refusal(KeyInput, {"admin": True})
    assert error.message == "Missing required parameter: 'user'."
    assert (error.param, error.code) == ("user", "missing_required_parameter")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_name", ""),
        ("session_name", "x" * 257),
        ("session_name", 5),
        ("session_name", "a\0b"),
        ("model", "a\0b"),
        ("model", ["fast"]),
        ("max_history_messages", "5"),
        ("max_history_messages", True),
        ("max_history_messages", 5.0),
        ("system_prompt", 5),
        ("ttl_seconds", "60"),
        ("metadata", []),
        ("metadata", {"a": "\0"}),
        ("metadata", {"\0": "a"}),
        ("metadata", {"a": ["\\\0"]}),
        ("metadata", {"a": "x" * 16_384}),
    ],
)
def test_a_wrong_value_is_named_by_its_field(field: str, value: object) -> None:
    error = refusal(SessionInput, {field: value})
    assert (error.param, error.code) == (field, "invalid_value")
    assert error.message.startswith(f"Invalid '{field}': ")
    assert error.message.endswith(".")


def test_a_nul_is_told_from_the_text_that_spells_one() -> None:
    metadata = {"a": r"\u0000", r"\\u0000": r"\\\u0000"}
    assert validate(SessionInput, {"metadata": metadata}).metadata == metadata


def test_metadata_may_take_16_kib() -> None:
    metadata = {"a": "x" * (16 * 1024 - len('{"a":""}'))}
    assert validate(SessionInput, {"metadata": metadata}).metadata == metadata


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_what_is_no_object_is_refused(data: object) -> None:
    assert refusal(SessionInput, data).code == "invalid_value"


@given(json_objects().filter(lambda metadata: IMPORT_MARK not in metadata))  # hypothesis reads our constants
def test_metadata_is_kept_whole_or_refused_for_its_nul(metadata: dict[str, Any]) -> None:
    body = orjson.dumps({"metadata": metadata})
    if has_nul(metadata):
        assert refusal(SessionInput, parse_object(body)).param == "metadata"
    else:
        assert validate(SessionInput, parse_object(body)).metadata == metadata


def has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(has_nul(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(has_nul(each) for each in value)
    return isinstance(value, str) and "\0" in value


# ── paging ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_have_their_defaults() -> None:
    assert validate(Paging, {}).model_dump() == {"limit": 20, "offset": 0}
    assert validate(MessagePaging, {}).model_dump() == {"limit": 50, "offset": 0}


def test_a_query_is_text_and_may_hold_other_names() -> None:
    assert validate(Paging, {"limit": "7", "offset": "14", "include_archived": "true"}).model_dump() == {
        "limit": 7,
        "offset": 14,
    }


@pytest.mark.parametrize("value", ["", "many", "1.5", "1e2"])
def test_a_page_is_counted_in_whole_numbers(value: str) -> None:
    error = refusal(Paging, {"limit": value})
    assert (error.param, error.code) == ("limit", "invalid_value")


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", {}),
        ("metadata[a]=1", {"a": "1"}),
        ("metadata[a]=1&limit=5&metadata[b]=2", {"a": "1", "b": "2"}),
        ("metadata%5Ba%5D=1&metadata[a.b]=", {"a": "1", "a.b": ""}),
        ("metadata[a][b]=1&metadata[]=2", {"a][b": "1", "": "2"}),
        ("metadata[a%0A]=%00", {"a\n": "\0"}),
        ("metadata[a]=1&metadata[a]=2", {"a": "2"}),
        ("metadata[a=1&metadat[a]=1&xmetadata[a]=1", {}),
    ],
)
def test_pairs_of_metadata_in_a_query(query: str, pairs: dict[str, str]) -> None:
    assert validate_query(SessionPaging, QueryParams(query)).metadata == pairs


@pytest.mark.parametrize("query", ["metadata=a", "metadata=a&metadata[b]=c", "metadata[b]=c&metadata=a"])
def test_metadata_without_a_key_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validate_query(SessionPaging, QueryParams(query))
    assert (caught.value.param, caught.value.code) == ("metadata", "invalid_value")


def test_sixteen_pairs_may_be_asked_for() -> None:
    pairs = {f"metadata[{number}]": "x" for number in range(16)}
    assert len(validate_query(SessionPaging, QueryParams(pairs)).metadata) == 16
    with pytest.raises(InvalidRequest, match="16"):
        validate_query(SessionPaging, QueryParams({**pairs, "metadata[16]": "x"}))


def test_what_is_searched_for_may_be_long_but_not_left_out() -> None:
    assert validate(SearchPaging, {"q": "x" * 1000}).q == "x" * 1000
    assert refusal(SearchPaging, {"q": "x" * 1001}).param == "q"
    assert refusal(SearchPaging, {}).code == "missing_required_parameter"


def test_the_form_of_a_key() -> None:
    data = {"user": "alice", "admin": True, "name": "laptop", "expires_in": "30d", "allowed_models": ["fast"]}
    assert validate(KeyInput, {**data, "limits": {"parallel_calls": 2}}).model_dump(exclude_none=True) == {
        **data,
        "limits": {"parallel_calls": 2},
    }
    assert refusal(KeyInput, {"user": "alice", "admin": "yes"}).param == "admin"
