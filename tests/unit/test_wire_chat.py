"""What parse_chat takes, what it makes of it, and which parameter it blames."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.ids import is_id
from gateway.wire.chat import OPENAI_PARAMS, PASSED_PARAMS, SAMPLING_EXTRAS, ChatRequest, parse_chat
from gateway.wire.json import dump, parse_object
from tests.unit.json_values import json_objects, json_values, texts

LIMIT = 1000
USER = {"role": "user", "content": "Hi"}


def parse(*, header: Any = None, **fields: Any) -> ChatRequest:
    """A minimal request with these fields in place of, or beside, its own."""
    data = {"model": "m", "messages": [USER], **fields}
    return parse_chat(data, header_session_id=header, max_history_limit=LIMIT)


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    assert caught.value.status == 400
    return caught.value


# ── what is taken ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_minimal_request() -> None:
    request = parse()
    assert (request.model, request.session_id, request.stream, request.include_usage) == ("m", None, False, False)
    assert request.max_history_messages is None
    assert request.max_reply_tokens is None
    assert request.params == {}
    assert request.instructions == []
    assert [message.body for message in request.messages] == [b'{"role":"user","content":"Hi"}']


def test_messages_keep_every_field_in_its_order() -> None:
    message = {
        "x": {"deep": [1.5, None]},
        "role": "user",
        "content": [{"type": "image_url", "detail": "low"}],
        "name": "n",
    }
    kept = parse(messages=[message]).messages[0]
    assert kept.data == message
    assert kept.body == dump(message)


def test_null_counts_as_not_given() -> None:
    request = parse(
        session_id=None, stream=None, stream_options=None, max_history_messages=None, n=None, max_tokens=None
    )
    assert (request.session_id, request.stream, request.include_usage) == (None, False, False)
    assert (request.max_history_messages, request.max_reply_tokens) == (None, None)


def test_the_gateways_own_fields_do_not_go_on() -> None:
    request = parse(
        session_id="s", max_history_messages=3, stream=True, stream_options={"include_usage": True}, temperature=0.5
    )
    assert request.params == {"temperature": 0.5}
    assert (request.session_id, request.max_history_messages) == ("s", 3)
    assert (request.stream, request.include_usage) == (True, True)


def test_instructions_are_only_those_at_the_head() -> None:
    system, developer = {"role": "system", "content": "a"}, {"role": "developer", "content": "b"}
    request = parse(messages=[system, developer, USER, system])
    assert [message.data for message in request.instructions] == [system, developer]
    assert [message.data for message in request.messages] == [USER, system]


def test_a_request_may_be_all_instructions() -> None:
    request = parse(messages=[{"role": "system", "content": "a"}])
    assert len(request.instructions) == 1
    assert request.messages == []


def test_answers_are_the_tool_messages_at_the_start() -> None:
    def tool(call_id: str) -> dict[str, str]:
        return {"role": "tool", "tool_call_id": call_id, "content": "42"}

    system = {"role": "system", "content": "a"}
    assert parse(messages=[system, tool("a"), tool("b"), USER, tool("c")]).answers == {"a", "b"}
    assert parse(messages=[USER, tool("c")]).answers == frozenset()
    assert parse(messages=[system]).answers == frozenset()


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
    ],
)
def test_the_limit_of_the_reply(fields: dict[str, Any], limit: int) -> None:
    assert parse(**fields).max_reply_tokens == limit


def test_messages_of_a_conversation_with_tools_are_taken() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "42"}]},
        {"role": "assistant", "refusal": "No.", "tool_calls": None},
        {"role": "function", "name": "f", "content": None},
    ]
    assert [message.data for message in parse(messages=messages).messages] == messages


# ── the session ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_body_names_the_session_before_the_header_does() -> None:
    assert parse(header="h", session_id="b").session_id == "b"
    assert parse(header="h").session_id == "h"
    assert parse(header="h", session_id=None).session_id == "h"


@pytest.mark.parametrize("session_id", ["a", "sess_01J", "A.b_c:d-9", "x" * 128])
def test_legal_session_ids(session_id: str) -> None:
    assert is_id(session_id)
    assert parse(session_id=session_id).session_id == session_id
    assert parse(header=session_id).session_id == session_id


@pytest.mark.parametrize("session_id", ["", "x" * 129, "a b", "a/b", "é", "a\n", "a\0", "\u0661"])
def test_illegal_session_ids(session_id: str) -> None:
    assert not is_id(session_id)
    for error in (refusal(session_id=session_id), refusal(header=session_id)):
        assert (error.param, error.code) == ("session_id", "invalid_value")


@pytest.mark.parametrize("session_id", [0, 1, False, [], {}, 1.5])
def test_a_session_id_is_a_string(session_id: object) -> None:
    assert refusal(header="fine", session_id=session_id).param == "session_id"


def test_the_model_may_be_left_to_the_session() -> None:
    assert parse(session_id="s", model=None).model is None
    error = refusal(model=None)
    assert (error.param, error.code) == ("model", "missing_required_parameter")
    assert error.message == "you must provide a model parameter"


@pytest.mark.parametrize("model", ["", "x" * 257, 1, True, [], {}, "a\0b"])
def test_a_model_is_a_short_string(model: object) -> None:
    for error in (refusal(model=model), refusal(model=model, session_id="s")):
        assert (error.param, error.code) == ("model", "invalid_value")


# ── what is wrong, and which parameter ───────────────────────────────────────────────────────────────────────────


def test_messages_are_required() -> None:
    assert refusal(messages=None).code == "missing_required_parameter"
    assert refusal(messages=None).param == "messages"


@pytest.mark.parametrize("messages", [[], {}, "Hi", 0, False])
def test_messages_are_an_array_with_a_message(messages: object) -> None:
    error = refusal(messages=messages)
    assert (error.param, error.code) == ("messages", "invalid_value")


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        (None, "", "invalid_type"),
        ("Hi", "", "invalid_type"),
        ({"content": "Hi"}, ".role", "invalid_value"),
        ({"role": "bot", "content": "Hi"}, ".role", "invalid_value"),
        ({"role": ["user"], "content": "Hi"}, ".role", "invalid_value"),
        ({"role": "user"}, ".content", "invalid_type"),
        ({"role": "system", "content": None}, ".content", "invalid_type"),
        ({"role": "developer"}, ".content", "invalid_type"),
        ({"role": "user", "content": 5}, ".content", "invalid_type"),
        ({"role": "user", "content": False}, ".content", "invalid_type"),
        ({"role": "assistant", "content": {"type": "text"}}, ".content", "invalid_type"),
        ({"role": "user", "content": [{"type": "text"}, "Hi"]}, ".content[1]", "invalid_type"),
        ({"role": "user", "content": [{"text": "Hi"}]}, ".content[0]", "invalid_type"),
        ({"role": "tool", "content": "42"}, ".tool_call_id", "invalid_value"),
        ({"role": "tool", "content": "42", "tool_call_id": 1}, ".tool_call_id", "invalid_value"),
        ({"role": "assistant", "tool_calls": {}}, ".tool_calls", "invalid_type"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}, {}]}, ".tool_calls[1].id", "invalid_type"),
        ({"role": "assistant", "tool_calls": ["a"]}, ".tool_calls[0].id", "invalid_type"),
        ({"role": "assistant", "content": "Hi", "tool_calls": {}}, ".tool_calls", "invalid_type"),
    ],
)
def test_a_wrong_message_is_named_by_its_place(message: object, param: str, code: str) -> None:
    error = refusal(messages=[USER, message])
    assert (error.param, error.code) == (f"messages[1]{param}", code)
    assert error.message.startswith(f"Invalid 'messages[1]{param}': ")


@pytest.mark.parametrize("name", ["n", "max_tokens", "max_completion_tokens", "max_history_messages"])
@pytest.mark.parametrize("value", [True, False, "5", 1.0, [], {}])
def test_an_integer_is_neither_a_boolean_nor_anything_else(name: str, value: object) -> None:
    error = refusal(**{name: value})
    assert (error.param, error.code) == (name, "invalid_type")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("n", 0, "from 1 to 128"),
        ("n", 129, "from 1 to 128"),
        ("max_tokens", 0, "of at least 1"),
        ("max_completion_tokens", -1, "of at least 1"),
        ("max_history_messages", -1, "from 0 to 1000"),
        ("max_history_messages", 1001, "from 0 to 1000"),
    ],
)
def test_an_integer_out_of_its_range_is_told_the_range(name: str, value: int, allowed: str) -> None:
    error = refusal(**{name: value})
    assert (error.param, error.code) == (name, "invalid_value")
    assert error.message == f"Invalid '{name}': expected an integer {allowed}, got {value}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 1), ("n", 128), ("max_tokens", 1), ("max_history_messages", 0), ("max_history_messages", LIMIT)],
)
def test_the_ends_of_a_range_are_inside(name: str, value: int) -> None:
    request = parse(**{name: value})
    assert value in (request.params.get(name), request.max_history_messages)


@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_stream_is_true_or_false(value: object) -> None:
    error = refusal(stream=value)
    assert (error.param, error.code) == ("stream", "invalid_type")


@pytest.mark.parametrize(
    ("stream", "options", "param", "code"),
    [
        (False, {"include_usage": True}, "stream_options", "invalid_value"),
        (None, {}, "stream_options", "invalid_value"),
        (True, [], "stream_options", "invalid_type"),
        (True, {"include_usage": 1}, "stream_options.include_usage", "invalid_type"),
        (True, {"usage": True}, "stream_options.usage", "unknown_parameter"),
    ],
)
def test_stream_options_are_those_that_openai_knows(stream: object, options: object, param: str, code: str) -> None:
    error = refusal(stream=stream, stream_options=options)
    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize(
    ("options", "include_usage"),
    [({}, False), ({"include_usage": None}, False), ({"include_obfuscation": False, "include_usage": True}, True)],
)
def test_usage_is_included_where_asked_for(options: dict[str, Any], include_usage: bool) -> None:
    assert parse(stream=True, stream_options=options).include_usage is include_usage


# ── other fields ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_openais_fields_and_known_extras_go_on_as_they_are() -> None:
    fields = {name: {"any": ["value"]} for name in PASSED_PARAMS - {"n", "max_tokens", "max_completion_tokens"}}
    request = parse(**fields)
    assert request.params == fields
    assert request.unlisted == frozenset()
    request.check_params(frozenset())


def test_a_field_is_either_openais_or_an_extra() -> None:
    assert not OPENAI_PARAMS & SAMPLING_EXTRAS


def test_another_field_needs_the_models_leave() -> None:
    request = parse(zeta=1, alpha=2)
    assert request.unlisted == {"alpha", "zeta"}
    with pytest.raises(InvalidRequest, match=r"Unrecognized request argument: alpha\..*allow_params") as caught:
        request.check_params(frozenset({"zeta"}))
    assert (caught.value.param, caught.value.code) == ("alpha", "unknown_parameter")
    request.check_params(frozenset({"alpha", "zeta", "more"}))


@pytest.mark.parametrize("name", ["api_base", "base_url", "api_key", "mock_response", "fallbacks", "extra_body"])
def test_where_a_call_goes_is_never_the_clients_to_say(name: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        parse(**{name: "x"}).check_params(frozenset())


# ── arbitrary JSON ───────────────────────────────────────────────────────────────────────────────────────────────

NAMES = st.sampled_from(
    """
    model messages role content type text tool_calls id function tool_call_id stream stream_options include_usage
    session_id max_history_messages n max_tokens max_completion_tokens temperature other
    """.split()
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
MESSAGES = st.fixed_dictionaries(
    {"role": ROLES | json_values(NAMES)},
    optional={
        "content": json_values(NAMES),
        "tool_calls": json_values(NAMES),
        "tool_call_id": json_values(NAMES),
        "name": json_values(NAMES),
    },
)
REQUESTS = json_objects(NAMES) | st.fixed_dictionaries(
    {"model": texts, "messages": st.lists(MESSAGES, max_size=4)},
    optional={"stream": json_values(NAMES), "session_id": json_values(NAMES), "n": json_values(NAMES)},
)


@given(REQUESTS, st.none() | texts)
def test_arbitrary_json_is_taken_whole_or_refused_by_name(data: dict[str, Any], header: str | None) -> None:
    result = outcome(parse_object(orjson.dumps(data)), header)
    if isinstance(result, InvalidRequest):
        assert re.split(r"[.\[]", result.param or "")[0] in {*data, "model", "messages", "session_id"}
    else:
        taken = [*result.instructions, *result.messages]
        assert [message.data for message in taken] == data["messages"]
        assert [orjson.loads(message.body) for message in taken] == data["messages"]
        assert result.answers <= {message.data["tool_call_id"] for message in result.messages if message.role == "tool"}


def outcome(data: dict[str, Any], header: str | None) -> ChatRequest | InvalidRequest:
    try:
        return parse_chat(data, header_session_id=header, max_history_limit=LIMIT)
    except InvalidRequest as exc:
        return exc


def test_a_request_has_no_more_messages_than_any_window_could_hold() -> None:
    messages = [{"role": "user", "content": "a"}] * 2049
    assert len(parse(messages=messages[:2048]).messages) == 2048
    error = refusal(messages=messages)
    assert (error.param, error.code) == ("messages", "invalid_value")
    assert "at most 2048" in error.message
