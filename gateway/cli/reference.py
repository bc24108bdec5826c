"""docs/configuration.md, made of the settings themselves: their JSON schema has all that a reader needs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.settings import Settings

_HEAD = """\
# Configuration

<!-- Made by `gateway config reference`: to change it, change gateway/settings/ or gateway/cli/reference.py. -->

The gateway reads one YAML file: the one given with `--config`, else the one that `$GATEWAY_CONFIG` names, else
`gateway.yaml` in the working directory, if it is there. [`gateway.yaml`](../gateway.yaml) holds every setting at its
default, and [`config/`](../config/README.md) has examples. A setting that is not listed here is a mistake, and so is a
value out of its range, or one that stands there twice; all mistakes are told at once.

**Precedence.** An option of `gateway serve` (`--host`, `--port`, `--workers`) beats a `GATEWAY_` variable, which beats
the file, which beats the default. A variable may also hold several settings of a section as JSON, which is the way to
write `null`: `GATEWAY_RETENTION='{"deleted_days": null}'`.

**`${NAME}`** in any text of the file is replaced by the environment variable of that name, which must be set;
`${NAME:-default}` falls back to a default. What was put in is not looked through again.

| command | |
|---|---|
| `gateway config check` | says whether `gateway serve` can work with the settings; if not, why, with exit code 2 |
| `gateway config show` | prints the settings in force as YAML, with `--json` as JSON; secrets are masked |
| `gateway config reference` | prints this page |
"""

_ENTRIES = """\
Entries have no variables of their own: `{variable}` holds the whole list as JSON.
"""

_Schema = Mapping[str, Any]

_HEADINGS = ("setting", "takes", "default", "what it is")


def reference_markdown() -> str:
    """Every setting, by section, in the order of settings/whole.py."""
    schema = Settings.model_json_schema()
    return "\n".join([_HEAD, *(_section(name, field, schema["$defs"]) for name, field in schema["properties"].items())])


def _section(name: str, field: _Schema, definitions: _Schema) -> str:
    is_list = "items" in field
    headings = _HEADINGS if is_list else (*_HEADINGS, "environment variable")
    settings = list(_settings(name, field, definitions))
    lines = [f"## `{name}`", "", _group(field, definitions)["description"], ""]
    if is_list:
        lines.append(_ENTRIES.format(variable=_variable(name)))
    lines += [_row(headings), "|---" * len(headings) + "|"]
    lines += [_row(_cells(path, setting, has_variable=not is_list)) for path, setting in settings]
    return "\n".join(lines) + "\n"


def _settings(path: str, field: _Schema, definitions: _Schema) -> Iterator[tuple[str, _Schema]]:
    """The field itself, or all that it holds, with their paths: `[]` stands for any entry of a list."""
    if "$ref" not in field.get("items", field):
        yield path, field
        return
    prefix = f"{path}[]" if "items" in field else path
    for name, inner in _group(field, definitions)["properties"].items():
        yield from _settings(f"{prefix}.{name}", inner, definitions)


def _group(field: _Schema, definitions: _Schema) -> _Schema:
    """What is said of the settings that a field holds, or that each entry of its list does."""
    name: str = field.get("items", field)["$ref"]
    group: _Schema = definitions[name.rpartition("/")[2]]
    return group


def _cells(path: str, setting: _Schema, *, has_variable: bool) -> list[str]:
    default = _literal(setting["default"]) if "default" in setting else "required"
    cells = [f"`{path}`", _takes(setting), default, setting["description"].replace("*", "\\*")]
    return [*cells, f"`{_variable(path)}`"] if has_variable else cells


def _takes(schema: _Schema) -> str:
    """The type and the range, in words."""
    if "anyOf" in schema:
        return ", or ".join(map(_takes, schema["anyOf"]))
    if "enum" in schema:
        *others, last = map(_literal, schema["enum"])
        return f"{', '.join(others)} or {last}"
    if schema["type"] == "array":
        return f"list of {_takes(schema['items'])}"
    words = "secret text" if schema.get("format") == "password" else _TYPES[schema["type"]]
    return ", ".join([words, *_ranges(schema)])


_TYPES = {
    "boolean": "`true` or `false`",
    "integer": "integer",
    "number": "number",
    "string": "text",
    "null": "`null`",
}


def _ranges(schema: _Schema) -> Iterator[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        yield f"{_number(low)} to {_number(high)}"
    else:
        if low is not None:
            yield f"at least {_number(low)}"
        if "exclusiveMinimum" in schema:
            yield f"above {_number(schema['exclusiveMinimum'])}"
        if high is not None:
            yield f"at most {_number(high)}"
    if "maxLength" in schema:
        yield f"{schema.get('minLength', 0)} to {schema['maxLength']} characters"
    if "pattern" in schema:
        yield f"matching `{schema['pattern']}`"


def _literal(value: object) -> str:
    """A value as it is written in the file."""
    if isinstance(value, str):
        return f"`{value}`"
    return f"`{_number(value) if isinstance(value, float) else json.dumps(value)}`"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _variable(path: str) -> str:
    return "GATEWAY_" + path.replace(".", "__").upper()


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
