"""Tools, functions and reply schemas: the cookbook's figures, and nothing that a schema says is free."""

from typing import Any

import pytest

from gateway.tokens.counter import TokenCounter
from gateway.tokens.encodings import BUNDLED, get_encoding

O200K, CL100K, _ = BUNDLED

counter = TokenCounter()

WEATHER = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}
QUESTION = [
    {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]


def exact(text: str) -> int:
    return len(get_encoding(O200K).encode_ordinary(text))


def tool(parameters: Any, description: str = "Does it") -> dict[str, Any]:
    return {"type": "function", "function": {"name": "do_it", "description": description, "parameters": parameters}}


def cost(**params: Any) -> int:
    return counter.call(params, O200K)


@pytest.mark.parametrize(("encoding", "billed"), [(O200K, 101), (CL100K, 105)])
def test_the_cookbooks_tool_costs_what_openai_billed(encoding: str, billed: int) -> None:
    messages = sum(counter.message(message, encoding) for message in QUESTION)
    assert messages + counter.call({"tools": [{"type": "function", "function": WEATHER}]}, encoding) == billed
    assert messages + counter.call({"functions": [WEATHER]}, encoding) == billed


def test_a_call_without_definitions_primes_the_reply() -> None:
    assert cost(temperature=1, tools=[], response_format={"type": "text"}) == 3


def test_the_full_stop_of_a_description_is_not_shown_to_the_model() -> None:
    assert cost(tools=[tool({}, "Does it.")]) == cost(tools=[tool({}, "Does it")])


def test_each_further_tool_costs_its_own_tokens_and_the_end_costs_once() -> None:
    one, two = cost(tools=[tool({})]), cost(tools=[tool({}), tool({})])
    assert one == 3 + 7 + exact("do_it:Does it") + 12
    assert two - one == 7 + exact("do_it:Does it")


def test_nested_properties_cost_what_flat_ones_do() -> None:
    inner = {"type": "object", "properties": {"city": {"type": "string", "description": "Where"}}}
    flat = cost(tools=[tool(inner)]) - cost(tools=[tool({})])
    assert flat == 3 + 3 + exact("city:string:Where")
    nested = cost(tools=[tool({"type": "object", "properties": {"place": inner}})]) - cost(tools=[tool({})])
    assert nested == 3 + 3 + exact("place:object:") + flat


@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"type": "string", "description": "TEXT"}},
        {"anyOf": [{"type": "string", "description": "TEXT"}, {"type": "null"}]},
        {"$defs": {"Place": {"properties": {"city": {"const": "TEXT"}}}}},
        {"properties": {"city": {"type": ["string", "null"], "enum": ["TEXT", None, 3]}}},
        {"properties": {"city": {"type": "string", "pattern": "TEXT"}}},
    ],
)
def test_no_text_in_a_schema_is_free(schema: dict[str, Any]) -> None:
    long = "a sentence that is rather longer than one word"
    filled = _filled(schema, long)
    assert cost(tools=[tool(filled)]) >= cost(tools=[tool(_filled(schema, ""))]) + exact(long) - 1


def _filled(schema: Any, text: str) -> Any:
    if isinstance(schema, dict):
        return {name: _filled(value, text) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_filled(value, text) for value in schema]
    return text if schema == "TEXT" else schema


def test_a_schema_may_be_deeper_than_python_can_recurse() -> None:
    schema: dict[str, Any] = {"type": "string", "description": "the bottom"}
    for _ in range(3_000):
        schema = {"type": "array", "items": schema}
    assert cost(tools=[tool(schema)]) > 3_000


@pytest.mark.parametrize("definition", [None, "text", 3, {}, {"function": None}, {"type": "web_search", "size": "low"}])
def test_what_is_no_function_is_counted_and_never_raises(definition: Any) -> None:
    assert cost(tools=[definition]) > 3 + 7 + 12


def test_a_custom_tools_grammar_is_counted() -> None:
    grammar = "start: expression (SEMICOLON expression)*"
    custom = {"name": "calculate", "format": {"type": "grammar", "definition": grammar}}
    assert cost(tools=[{"type": "custom", "custom": custom}]) > exact(grammar)


def test_a_reply_schema_is_counted_as_its_json() -> None:
    schema = {"name": "answer", "schema": {"type": "object"}}
    counted = cost(response_format={"type": "json_schema", "json_schema": schema})
    assert counted == 3 + exact('{"name":"answer","schema":{"type":"object"}}')
