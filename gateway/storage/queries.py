"""Files of SQL in named blocks: no statement is ever put together from values.

`-- name: x` begins a statement. `-- fragment: x` begins a part that several statements have in common, such as a list
of columns: it stands, without its comments, wherever a statement of the same file has {x}.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_HEAD = re.compile(r"^-- (name|fragment): (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def parse(text: str) -> Mapping[str, str]:
    """The statements of a file by name, complete. Raises ValueError for a name that is used twice."""
    _, *parts = _HEAD.split(text)
    kinds, names, blocks = parts[::3], parts[1::3], [part.strip() for part in parts[2::3]]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"used twice: {', '.join(twice)}")
    found = list(zip(kinds, names, blocks, strict=True))
    fragments = {name: _COMMENT.sub("", block) for kind, name, block in found if kind == "fragment"}
    return MappingProxyType({name: filled(block, fragments) for kind, name, block in found if kind == "name"})


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with each {name} replaced by its value. What has no value stays, and no value names another."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def read(path: Path) -> Mapping[str, str]:
    """The statements of a file by name."""
    return parse(path.read_text(encoding="utf-8"))
