"""A reply in pieces says what the same reply says whole, however it was cut."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import Usage
from gateway.wire.reply import Fold, parse_usage, reply_finish_reason, reply_message, storable
from tests.unit.json_values import json_objects, json_values, texts


def chunk(delta: dict[str, Any], index: int = 0, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def fold(*chunks: dict[str, Any]) -> Fold:
    folded = Fold()
    for each in chunks:
        folded.add(each)
    return folded


def message_of(*deltas: dict[str, Any]) -> dict[str, Any]:
    message = fold(*(chunk(delta) for delta in deltas)).message
    assert message is not None
    return message


def call(index: int, arguments: str | None = None, **fields: Any) -> dict[str, Any]:
    """A delta with one fragment of a tool call."""
    function = {name: fields.pop(name) for name in ("name",) if name in fields}
    if arguments is not None:
        function["arguments"] = arguments
    return {"tool_calls": [{"index": index, "function": function, **fields}]}


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_texts_are_joined() -> None:
    assert message_of({"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {}) == {
        "role": "assistant",
        "content": "Hello",
    }


def test_content_that_begins_as_null_becomes_text() -> None:
    assert message_of({"content": None}, {"content": "a"}, {"content": None}, {"content": "b"})["content"] == "ab"


def test_a_role_that_every_chunk_repeats_is_said_once() -> None:
    role = {"role": "assistant"}
    assert message_of({**role, "content": "a"}, {**role, "content": "b"}) == {"role": "assistant", "content": "ab"}


def test_a_refusal_is_joined_and_leaves_the_content_null() -> None:
    first = {"role": "assistant", "content": None, "refusal": "I "}
    assert message_of(first, {"refusal": "won't."}) == {"role": "assistant", "content": None, "refusal": "I won't."}


def test_reasoning_and_unknown_fields_are_joined_too() -> None:
    deltas = [
        {"reasoning_content": "Hm", "x": {"note": "a", "n": 1}},
        {"reasoning_content": "m.", "x": {"note": "b", "n": 2, "more": None}},
        {"content": "4", "x": {"more": "c"}},
    ]
    assert message_of(*deltas) == {
        "role": "assistant",
        "content": "4",
        "reasoning_content": "Hmm.",
        "x": {"note": "ab", "n": 2, "more": "c"},
    }


def test_audio_is_joined_under_its_id() -> None:
    deltas: list[dict[str, Any]] = [
        {"audio": {"id": "audio_1", "transcript": "Hel"}},
        {"audio": {"id": "audio_1", "transcript": "lo", "data": "AAAA"}},
        {"audio": {"data": "BBBB", "expires_at": 1_700_000_000}},
    ]
    assert message_of(*deltas)["audio"] == {
        "id": "audio_1",
        "transcript": "Hello",
        "data": "AAAABBBB",
        "expires_at": 1_700_000_000,
    }


def test_content_parts_without_an_index_are_collected() -> None:
    first, second = {"type": "text", "text": "a"}, {"type": "text", "text": "b"}
    assert message_of({"content": [first]}, {"content": [second]})["content"] == [first, second]


def test_the_chunks_are_left_as_they_were() -> None:
    chunks = [chunk({"x": {"a": "b"}, **call(0, "{", id="a")}), chunk({"x": {"a": "c"}, **call(0, "}")})]
    before = orjson.dumps(chunks)
    fold(*chunks)
    assert orjson.dumps(chunks) == before


# ── tool calls ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tool_call_in_fragments_becomes_one_call() -> None:
    deltas = [
        {"role": "assistant", "content": None, **call(0, "", id="a", type="function", name="add")},
        call(0, '{"x"'),
        call(0, ": 1}"),
    ]
    function = {"name": "add", "arguments": '{"x": 1}'}
    assert message_of(*deltas)["tool_calls"] == [{"function": function, "id": "a", "type": "function"}]


def test_interleaved_calls_are_told_apart_by_index_wherever_it_starts() -> None:
    deltas = [call(1, "1", id="a"), call(2, "2", id="b"), call(1, "3"), call(2, "4")]
    joined = [(made["id"], made["function"]["arguments"]) for made in message_of(*deltas)["tool_calls"]]
    assert joined == [("a", "13"), ("b", "24")]


def test_an_id_or_type_that_is_repeated_or_emptied_stays_what_it_was() -> None:
    deltas = [
        call(0, "{", id="a", type="function", name="f"),
        call(0, "", id="a", type="function"),
        call(0, "}", id="", type=None),
    ]
    expected = {"function": {"name": "f", "arguments": "{}"}, "id": "a", "type": "function"}
    assert message_of(*deltas)["tool_calls"] == [expected]


def test_calls_without_an_index_are_whole() -> None:
    whole = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
    assert message_of({"tool_calls": [whole]}, {"tool_calls": [{**whole, "id": "b"}]})["tool_calls"] == [
        whole,
        {**whole, "id": "b"},
    ]


def test_several_fragments_may_come_in_one_delta() -> None:
    pair = {"tool_calls": [*call(0, "1", id="a")["tool_calls"], *call(1, "2", id="b")["tool_calls"]]}
    assert [made["id"] for made in message_of(pair, call(1, "3"))["tool_calls"]] == ["a", "b"]


def test_the_older_function_call_is_joined() -> None:
    deltas = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}]
    assert message_of(*deltas)["function_call"] == {"name": "f", "arguments": "{}"}


# ── cut anywhere ─────────────────────────────────────────────────────────────────────────────────────────────────

PIECES = st.lists(texts, min_size=1, max_size=5)


@st.composite
def cut_messages(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A message, and deltas that say it: each text in pieces, the pieces of all texts shuffled among each other."""
    fields = draw(st.dictionaries(st.sampled_from(["content", "refusal", "reasoning_content", "other"]), PIECES))
    calls = draw(st.lists(PIECES, max_size=3))
    first_index = draw(st.integers(min_value=0, max_value=1))
    queues: list[list[dict[str, Any]]] = [[{name: piece} for piece in pieces] for name, pieces in fields.items()]
    for place, pieces in enumerate(calls):
        queues.append([call(first_index + place, piece) for piece in pieces])
        queues[-1][0] = call(first_index + place, pieces[0], id=f"call_{place}", type="function", name=f"f{place}")
    order = draw(st.permutations([place for place, queue in enumerate(queues) for _ in queue]))
    left = [iter(queue) for queue in queues]
    deltas = [next(left[place]) for place in order]
    message: dict[str, Any] = {"role": "assistant", "content": None}
    message |= {name: "".join(pieces) for name, pieces in fields.items()}
    if calls:
        begun = sorted(range(len(calls)), key=lambda place: order.index(len(fields) + place))
        message["tool_calls"] = [whole_call(place, calls[place]) for place in begun]
    return message, [{"role": "assistant"}, *deltas]


def whole_call(place: int, pieces: Sequence[str]) -> dict[str, Any]:
    function = {"name": f"f{place}", "arguments": "".join(pieces)}
    return {"id": f"call_{place}", "type": "function", "function": function}


@given(cut_messages())
def test_a_message_cut_anywhere_is_folded_back(case: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    message, deltas = case
    assert message_of(*deltas) == message


@given(cut_messages(), cut_messages(), st.randoms(use_true_random=False))
def test_other_choices_do_not_mix_with_the_first(
    first: tuple[dict[str, Any], list[dict[str, Any]]],
    other: tuple[dict[str, Any], list[dict[str, Any]]],
    random: Any,
) -> None:
    message, deltas = first
    queues = [[chunk(delta, 0) for delta in deltas], [chunk(delta, 1) for delta in other[1]]]
    assert fold(*shuffled(queues, random)).message == message


def shuffled(queues: list[list[dict[str, Any]]], random: Any) -> Iterable[dict[str, Any]]:
    """All items, those of one queue in their order."""
    while filled := [queue for queue in queues if queue]:
        yield random.choice(filled).pop(0)


# ── how it ends ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_stream_says_nothing() -> None:
    folded = fold()
    assert folded.message is None
    assert (folded.finish_reason, folded.usage) == (None, None)
    assert not folded.is_finished
    assert not folded.has_content


def test_a_stream_is_finished_when_every_choice_has_said_why() -> None:
    folded = fold(chunk({"content": "a"}, 0), chunk({"content": "b"}, 1), chunk({}, 1, "length"))
    assert (folded.is_finished, folded.finish_reason) == (False, None)
    folded.add(chunk({}, 0, "stop"))
    assert (folded.is_finished, folded.finish_reason) == (True, "stop")


def test_a_choice_that_comes_late_is_waited_for() -> None:
    folded = fold(chunk({"content": "a"}, 0, "stop"), chunk({"content": "b"}, 1))
    assert not folded.is_finished


def test_the_finish_reason_may_come_with_the_last_text() -> None:
    folded = fold(chunk({"content": "a"}, finish_reason="tool_calls"))
    assert (folded.is_finished, folded.finish_reason, folded.message) == (
        True,
        "tool_calls",
        {"role": "assistant", "content": "a"},
    )


@pytest.mark.parametrize(
    ("delta", "has_content"),
    [
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": ""}, False),
        ({"content": None, "refusal": None}, False),
        ({"tool_calls": []}, False),
        ({"content": "a"}, True),
        ({"refusal": "a"}, True),
        ({"reasoning_content": "a"}, True),
        ({"audio": {"id": "audio_1"}}, True),
        (call(0, id="a"), True),
    ],
)
def test_content_is_more_than_a_role(delta: dict[str, Any], has_content: bool) -> None:
    assert fold(chunk(delta)).has_content is has_content


@pytest.mark.parametrize(
    ("data", "brought"),
    [
        (chunk({"content": "a"}), True),
        (chunk({"content": "a"}, index=1), True),
        ({"choices": [{"delta": {"content": "a"}}]}, True),
        (chunk({}, finish_reason="stop"), False),
        ({"choices": []}, False),
        ({"choices": None, "usage": {"prompt_tokens": 1}}, False),
        ({"prompt_filter_results": []}, False),
        ({}, False),
    ],
)
def test_bookkeeping_is_told_from_parts_of_a_reply(data: dict[str, Any], brought: bool) -> None:
    assert fold().add(data) is brought


def test_usage_is_the_last_that_was_reported() -> None:
    text = {**chunk({"content": "a"}), "usage": None}
    early = {**chunk({}), "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
    late = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    assert fold(text, early, late, text).usage == Usage(prompt_tokens=9, completion_tokens=2)
    assert fold(late, {"usage": "unknown"}).usage == Usage(prompt_tokens=9, completion_tokens=2)


WIRE_NAMES = st.sampled_from(
    "choices index delta finish_reason usage role id type content tool_calls function arguments audio message".split()
)
CHUNKS = json_objects(WIRE_NAMES) | st.builds(
    lambda deltas: {"choices": [{"index": 0, "delta": delta} for delta in deltas]},
    st.lists(json_objects(WIRE_NAMES), max_size=3),
)


@given(st.lists(CHUNKS, max_size=6))
def test_whatever_a_provider_streams_is_folded_into_something_that_can_be_stored(chunks: list[dict[str, Any]]) -> None:
    folded = fold(*chunks)
    assert orjson.loads(orjson.dumps(folded.message)) == folded.message
    assert folded.finish_reason is None or isinstance(folded.finish_reason, str)
    assert folded.message is not None or not folded.has_content


# ── whole replies ────────────────────────────────────────────────────────────────────────────────────────────────


def test_choice_0_is_found_by_its_index() -> None:
    choices = [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]
    assert reply_message({"choices": choices}) == {"content": "a"}
    assert reply_message({"choices": [{"message": {"content": "c"}, "finish_reason": "stop"}]}) == {"content": "c"}
    assert reply_finish_reason({"choices": [{"message": {}, "finish_reason": "stop"}]}) == "stop"


@pytest.mark.parametrize(
    "data", [{}, {"choices": None}, {"choices": []}, {"choices": ["a"]}, {"choices": [{}]}, {"choices": [{"index": 1}]}]
)
def test_a_reply_without_a_first_choice_has_no_message(data: dict[str, Any]) -> None:
    assert reply_message(data) is None
    assert reply_finish_reason(data) is None


@given(json_objects(WIRE_NAMES))
def test_whatever_a_provider_replies_is_a_message_or_none(data: dict[str, Any]) -> None:
    assert isinstance(reply_message(data), dict | None)
    assert isinstance(reply_finish_reason(data), str | None)


def test_sound_is_not_stored_and_its_id_is() -> None:
    audio = {"id": "audio_1", "transcript": "Hi", "expires_at": 5}
    message = {"role": "assistant", "content": None, "audio": {**audio, "data": "AAAA"}}
    assert storable(message) == {"role": "assistant", "content": None, "audio": audio}
    assert message["audio"] == {**audio, "data": "AAAA"}


def test_an_empty_list_of_tool_calls_is_not_stored() -> None:
    assert storable({"role": "assistant", "content": "a", "tool_calls": []}) == {"role": "assistant", "content": "a"}


@given(json_objects().filter(lambda message: "audio" not in message and "tool_calls" not in message))
def test_every_other_message_is_stored_whole(message: dict[str, Any]) -> None:
    reply = {**message, "role": "assistant", "content": "Hi"}
    assert storable(reply) == reply


@pytest.mark.parametrize(
    "reply", [{}, {"role": None}, {"role": "model", "content": 5}, {"content": None, "tool_calls": {"id": "a"}}]
)
def test_what_a_provider_left_out_or_misspelt_is_stored_as_an_assistants(reply: dict[str, Any]) -> None:
    assert storable(reply) == {"role": "assistant", "content": None}


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_usage_is_read_with_its_details() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert parse_usage(usage) == Usage(10, 5, cached_tokens=4, reasoning_tokens=3)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": None, "completion_tokens": "5"},
        {"prompt_tokens": -1, "prompt_tokens_details": None},
        {"prompt_tokens_details": [], "completion_tokens_details": {"reasoning_tokens": 1.5}},
    ],
)
def test_counts_that_are_missing_or_wrong_are_0(usage: dict[str, Any]) -> None:
    assert parse_usage(usage) == Usage()


@given(json_values().filter(lambda usage: not isinstance(usage, dict)))
def test_what_is_no_object_is_no_usage(usage: object) -> None:
    assert parse_usage(usage) is None


@pytest.mark.parametrize("count", [True, -1, 2**64, "12", 1.5, None])
def test_a_count_that_is_none_counts_as_zero(count: object) -> None:
    usage = parse_usage({"prompt_tokens": count, "completion_tokens": 7})
    assert usage == Usage(prompt_tokens=0, completion_tokens=7)


def test_a_chunk_that_only_says_the_role_brings_nothing_yet() -> None:
    fold = Fold()
    assert not fold.add({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    assert fold.add({"choices": [{"index": 0, "delta": {"content": "Hi"}}]})
