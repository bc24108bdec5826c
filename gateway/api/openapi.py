"""/openapi.json, made from the table of routes and the models of their bodies."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.api.answers import ErrorOutput
from gateway.api.routes import Endpoint
from gateway.domain import MAX_HISTORY_MESSAGES
from gateway.wire.chat import MOST_MESSAGES

_CHAT = "/v1/chat/completions"

_CHAT_BODY: dict[str, Any] = {
    "type": "object",
    "description": "OpenAI's request, and two fields of this gateway's own. Any other field must be in the model's "
    "allow_params.",
    "required": ["messages"],
    "properties": {
        "model": {"type": "string", "description": "may be left out in a session that has a model"},
        "messages": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_MESSAGES,
            "description": "in a session: only what is new",
            "items": {"type": "object", "required": ["role"], "properties": {"role": {"type": "string"}}},
        },
        "stream": {"type": "boolean"},
        "session_id": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
        "max_history_messages": {"type": "integer", "minimum": 0, "maximum": MAX_HISTORY_MESSAGES},
    },
    "additionalProperties": True,
}


def openapi_document(table: Sequence[Endpoint], public: frozenset[str]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these routes, of which `public` need no key."""
    models = {model for endpoint in table for model in (endpoint.body, endpoint.response) if model is not None}
    ordered = sorted(models | {ErrorOutput}, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in table:
        path = endpoint.path.replace(":path}", "}")
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, path, public)
    return {
        "openapi": "3.1.0",
        "info": {"title": "LLM history gateway", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _operation(endpoint: Endpoint, path: str, public: frozenset[str]) -> dict[str, Any]:
    answer = _content(_response_schema(endpoint), endpoint.media_type)
    if endpoint.other_media_type is not None:
        answer |= _content({"type": "string"}, endpoint.other_media_type)
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint, path),
        "responses": {
            str(endpoint.status): {
                "description": "as asked",
                "content": answer,
            },
            "default": {"description": "an error", "content": _content(_ref(ErrorOutput))},
        },
    }
    if endpoint.body is not None or path == _CHAT:
        body = _CHAT_BODY if endpoint.body is None else _ref(endpoint.body)
        operation["requestBody"] = {"required": not endpoint.is_body_optional, "content": _content(body)}
    if path == _CHAT:
        operation["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    if path in public:
        operation["security"] = []
    return operation


def _parameters(endpoint: Endpoint, path: str) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    if endpoint.query is not None:
        schema = endpoint.query.model_json_schema()
        required = set(schema.get("required", ()))
        parameters += [_query_parameter(name, each, name in required) for name, each in schema["properties"].items()]
    if path == _CHAT:
        parameters.append({"name": "X-Session-Id", "in": "header", "schema": {"type": "string"}})
    return parameters


def _query_parameter(name: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:
    as_pairs = {"style": "deepObject", "explode": True} if schema.get("type") == "object" else {}
    return {"name": name, "in": "query", "required": required, "schema": schema, **as_pairs}


def _response_schema(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.response is None:
        return {"type": "object"}
    if not endpoint.is_list:
        return _ref(endpoint.response)
    return {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": _ref(endpoint.response)},
            "has_more": {"type": "boolean"},
        },
    }


def _content(schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": schema}}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
