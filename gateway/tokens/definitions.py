"""Tokens of what a call carries beside its messages: tool definitions and the reply's schema.

OpenAI shows tools to its models in a form of its own, not as JSON. The OpenAI cookbook ("How to count tokens with
tiktoken", section on tool calls) gives a formula for flat parameters that agrees with its billing. Nested schemas are
counted here by the same formula, level by level; what is no function is counted as its JSON.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.tokens.pieces import Pieces

PRIMING = 3
"""Every reply is primed with <|start|>assistant<|message|>: all that a call costs which defines nothing."""

# The cookbook's names. A function starts with 7 tokens for the gpt-4o models, with 10 for gpt-4 and gpt-3.5-turbo.
_FUNC_INIT = {"o200k_base": 7}
_FUNC_INIT_BEFORE_4O = 10
_FUNC_END = 12
_PROP_INIT = 3
_PROP_KEY = 3
_ENUM_INIT = -3
_ENUM_ITEM = 3

_FREE = frozenset({"type", "description", "enum", "required", "title", "strict", "$schema"})
"""Keywords that the formula has counted with their property, or that the model is not shown."""


def call_pieces(params: Mapping[str, Any], encoding: str) -> Pieces:
    """Take apart `tools`, `functions` and `response_format` of a request, and add the priming of the reply."""
    pieces = Pieces(fixed=PRIMING)
    tools = [*_as_list(params.get("tools")), *_as_list(params.get("functions"))]
    for tool in tools:
        _add_tool(pieces, tool, _FUNC_INIT.get(encoding, _FUNC_INIT_BEFORE_4O))
    if tools:
        pieces.fixed += _FUNC_END
    response_format = params.get("response_format")
    if isinstance(response_format, Mapping) and "json_schema" in response_format:
        # No formula is published: the schema goes into the prompt, most likely as it is.
        _add_json(pieces, response_format["json_schema"])
    return pieces


def _add_tool(pieces: Pieces, tool: object, func_init: int) -> None:
    function = tool.get("function", tool) if isinstance(tool, Mapping) else tool
    pieces.fixed += func_init
    if not isinstance(function, Mapping) or "name" not in function or "format" in function:
        _add_json(pieces, tool)
        return
    pieces.texts.append(f"{function['name']}:{_described(function)}")
    if isinstance(function.get("parameters"), Mapping):
        _add_schema(pieces, function["parameters"])


def _add_schema(pieces: Pieces, schema: Mapping[str, Any]) -> None:
    # A stack and not recursion: the depth of a client's schema is the client's choice.
    pending = [schema]
    while pending:
        for keyword, value in pending.pop().items():
            for name, inner in _inner_schemas(pieces, keyword, value):
                _add_property(pieces, name, inner)
                pending.append(inner)


def _inner_schemas(pieces: Pieces, keyword: str, value: object) -> list[tuple[str, Mapping[str, Any]]]:
    """The named schemas under one keyword: the properties, `items`, each of `anyOf`, …; a plain text is counted."""
    match value:
        case Mapping() if keyword == "properties" and value:
            pieces.fixed += _PROP_INIT
            return [(name, inner) for name, inner in value.items() if isinstance(inner, Mapping)]
        case Mapping():
            return [(keyword, value)] if value else []
        case list() if keyword not in _FREE:
            return [(keyword, inner) for inner in value if isinstance(inner, Mapping)]
        case str() if keyword not in _FREE:
            pieces.texts.append(value)
    return []


def _add_property(pieces: Pieces, name: str, schema: Mapping[str, Any]) -> None:
    kind = schema.get("type", "")
    kinds = "|".join(map(str, kind)) if isinstance(kind, list) else kind
    pieces.fixed += _PROP_KEY
    pieces.texts.append(f"{name}:{kinds}:{_described(schema)}")
    if isinstance(items := schema.get("enum"), list):
        pieces.fixed += _ENUM_INIT + _ENUM_ITEM * len(items)
        pieces.texts.extend(map(str, items))


def _described(schema: Mapping[str, Any]) -> str:
    """The description without its full stop, which the rendering leaves out."""
    description = schema.get("description")
    return description.removesuffix(".") if isinstance(description, str) else ""


def _add_json(pieces: Pieces, value: object) -> None:
    pieces.texts.append(orjson.dumps(value).decode())


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
