"""Reading gateway.yaml and the environment.

Order: a `GATEWAY_` variable (the setting's path joined by `__`: `GATEWAY_SERVER__PORT`) beats the file, which beats the
defaults. `${NAME}` inside the file is replaced by the environment's value. Every mistake is
reported at once, with its path and what would be allowed; models that cannot be served are told in a second round,
once there are settings to look them up by.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import SettingsError as UnreadableVariable

from gateway.settings.whole import Settings


class SettingsError(Exception):
    """Something in gateway.yaml or the environment is wrong; the text lists every mistake."""


_USUAL_FILE = Path("gateway.yaml")


def settings_file(path: Path | None = None) -> Path | None:
    """The file to read: `path`, else $GATEWAY_CONFIG, else ./gateway.yaml if it is there, else none.

    Raises SettingsError if the one that was named is not there.
    """
    named = path or (Path(value) if (value := os.environ.get("GATEWAY_CONFIG")) else None)
    if named is not None and not named.is_file():
        raise SettingsError(f"{named}: there is no such file")
    return named or (_USUAL_FILE if _USUAL_FILE.is_file() else None)


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings from the `settings_file`, or take the defaults alone if there is none.

    Raises SettingsError, with one line a mistake.
    """
    source = settings_file(path)
    content = _read_yaml(source) if source is not None else {}
    return parse_settings(content, source=str(source or _USUAL_FILE))


def parse_settings(content: Mapping[str, Any], *, source: str = "settings") -> Settings:
    """Settings from a parsed file and the environment. Raises SettingsError."""
    missing: list[str] = []
    expanded = _expand(content, (), missing)
    # pydantic-settings would take a key such as _env_prefix as an option of its own, without a word.
    private = [name for name in expanded if name.startswith("_")]
    unknown = [f"{name}: no such setting" for name in [*private, *_unknown_variables()]]
    invalid: list[str] = []
    try:
        settings = Settings(**{name: value for name, value in expanded.items() if name not in private})
    except ValidationError as exc:
        invalid = [f"{_path(error['loc'])}: {_explain(error)}" for error in exc.errors(include_input=False)]
    except UnreadableVariable as exc:
        invalid = [f"environment: {exc}: it is not JSON"]
    if mistakes := missing + invalid + unknown:
        raise SettingsError("\n".join([f"{source} is not valid:", *_indent(mistakes)]))
    return settings


class _Loader(yaml.SafeLoader):
    """Notes what stands in a mapping twice: of a second `models:` at the end of a file YAML takes that one alone."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.repeated: list[tuple[int, str]] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                self.repeated.append((line, f"{key.value} is in line {lines[key.value]} already"))
            lines.setdefault(key.value, line)
        return node


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        content = loader.get_single_data()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} cannot be read: {exc}") from exc
    except yaml.YAMLError as exc:
        # Its own text quotes the lines around the mistake, and with them any secret that they hold.
        mark = exc.problem_mark if isinstance(exc, yaml.MarkedYAMLError) else None
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(f"{path}{place}: this is not YAML") from None
    if loader.repeated:
        mistakes = [f"line {line}: {mistake}" for line, mistake in sorted(loader.repeated)]
        raise SettingsError("\n".join([f"{path} is not valid:", *_indent(mistakes)]))
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SettingsError(f"{path}: the top level must be a mapping such as `server: …`")
    return content


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _expand(value: Any, path: tuple[str | int, ...], missing: list[str]) -> Any:
    """Replace `${NAME}` and `${NAME:-default}`; a name that is not set and has no default is a mistake."""

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        if (found := os.environ.get(name)) is not None:
            return found
        if default is None:
            missing.append(f"{_path(path)}: the environment variable {name} is not set")
        return default or ""

    if isinstance(value, dict):
        return {key: _expand(item, (*path, key), missing) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, (*path, index), missing) for index, item in enumerate(value)]
    return _VARIABLE.sub(replace, value) if isinstance(value, str) else value


def _unknown_variables() -> list[str]:
    """GATEWAY_GROUP__… variables of no known group: pydantic-settings reads past them without a word.

    Names without `__` are left alone: Kubernetes makes GATEWAY_PORT and the like for a service named "gateway".
    """
    known = {name.upper() for name in Settings.model_fields}
    names = [name for name in os.environ if name.upper().startswith("GATEWAY_") and "__" in name]
    return sorted(name for name in names if name.upper().removeprefix("GATEWAY_").split("__")[0] not in known)


def _explain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "no such setting"
    return str(error["msg"]).removeprefix("Value error, ")


def _path(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc) or "settings"


def _indent(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
