"""What is taken out of a stream's chunks, and that nothing else is."""

from typing import Any

from gateway.wire.stream import Tidy


def chunk(delta: dict[str, Any], index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": None}], **fields}


def call(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {"tool_calls": [{"index": index, **fields, "function": {**name, "arguments": arguments}}]}


def tidied(*chunks: dict[str, Any]) -> tuple[list[dict[str, Any]], list[bool]]:
    tidy = Tidy()
    changed = [tidy.take_out(each) for each in chunks]
    return list(chunks), changed


def test_a_stream_as_openai_sends_it_is_left_alone() -> None:
    chunks = [
        chunk({"role": "assistant", "content": ""}, usage=None),
        chunk(call(0, "", id="a", type="function", name="f")),
        chunk(call(0, "{}")),
        chunk(call(1, "", id="b", type="function", name="f")),
        chunk({"content": "Hi"}),
    ]
    _, changed = tidied(*chunks)
    assert changed == [False] * 5


def test_a_role_is_said_once_for_each_choice() -> None:
    (first, again, other), changed = tidied(
        chunk({"role": "assistant", "content": "a"}),
        chunk({"role": "assistant", "content": "b"}),
        chunk({"role": "assistant", "content": "c"}, index=1),
    )
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "a"}
    assert again["choices"][0]["delta"] == {"content": "b"}
    assert other["choices"][0]["delta"] == {"role": "assistant", "content": "c"}
    assert changed == [False, True, False]


def test_id_type_and_name_of_a_call_are_said_once() -> None:
    (_, again, other), changed = tidied(
        chunk(call(0, "{", id="a", type="function", name="f")),
        chunk(call(0, "}", id="a", type="function", name="f")),
        chunk(call(1, "{}", id="b", type="function", name="f")),
    )
    assert again["choices"][0]["delta"] == call(0, "}")
    assert other["choices"][0]["delta"] == call(1, "{}", id="b", type="function", name="f")
    assert changed == [False, True, False]


def test_a_name_that_comes_in_fragments_is_left_whole() -> None:
    chunks = [chunk(call(0, "", id="a", name="get_")), chunk(call(0, "", name="weather")), chunk(call(0, "{}"))]
    _, changed = tidied(*chunks)
    assert changed == [False] * 3


def test_chunks_of_no_known_shape_are_left_alone() -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"choices": None},
        {"choices": ["x"]},
        {"choices": [{"delta": "x"}]},
        {"choices": [{"index": [1], "delta": {"role": "assistant"}}]},
        {"choices": [{"delta": {"tool_calls": ["x", {"index": "0"}, {"index": 0, "function": "x"}]}}]},
    ]
    _, changed = tidied(*odd)
    assert changed == [False] * 6
