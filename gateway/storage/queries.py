"""Files of SQL in named blocks: no statement is ever put together from strings."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_HEAD = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def parse(text: str) -> Mapping[str, str]:
    """Split a file of `-- name: x` blocks into statements. Raises ValueError for a name that is used twice."""
    _, *parts = _HEAD.split(text)
    names, statements = parts[::2], [part.strip() for part in parts[1::2]]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"used twice: {', '.join(twice)}")
    return MappingProxyType(dict(zip(names, statements, strict=True)))


def read(path: Path) -> Mapping[str, str]:
    """The statements of a file by name."""
    return parse(path.read_text(encoding="utf-8"))
