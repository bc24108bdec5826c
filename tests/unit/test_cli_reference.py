"""docs/configuration.md says what gateway/settings says, of every setting."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from gateway.cli.reference import reference_markdown
from gateway.settings import Settings, SettingsError, parse_settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
ROWS = {
    cells[0].strip("`"): cells
    for line in reference_markdown().splitlines()
    if len(cells := line.strip("| ").split(" | ")) > 3
    if cells[0].startswith("`")
}
VARIABLES = [cells[4].strip("`") for cells in ROWS.values() if len(cells) > 4]


def every_path(group: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in group.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        entry = next(iter(get_args(field.annotation)), None)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from every_path(field.annotation, f"{path}.")
        elif isinstance(entry, type) and issubclass(entry, BaseModel):
            yield from every_path(entry, f"{path}[].")
        else:
            yield path


def test_the_page_is_what_the_command_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_markdown(), (
        "write it anew: gateway config reference > docs/configuration.md"
    )


def test_every_setting_is_listed_and_explained() -> None:
    assert list(ROWS) == list(every_path(Settings))
    assert all(all(cells) for cells in ROWS.values())


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("server.host", ["text", "`127.0.0.1`"]),
        ("server.port", ["integer, 0 to 65535", "`8000`"]),
        ("server.workers", ["integer, at least 1", "`1`"]),
        ("storage.timeout", ["number, above 0, at most 60", "`2`"]),
        ("storage.schema", ["`own` or `external`", "`own`"]),
        ("auth.pepper", ["secret text, or `null`", "`null`"]),
        ("sessions.auto_create", ["`true` or `false`", "`false`"]),
        ("logging.format", ["`auto`, `json` or `console`", "`auto`"]),
        ("models[].name", ["text, 1 to 256 characters", "required"]),
        ("models[].api_base", ["text, matching `^https?://`, or `null`", "`null`"]),
        ("models[].allow_params", ["list of text", "`[]`"]),
    ],
)
def test_types_ranges_and_defaults_are_in_words(path: str, told: list[str]) -> None:
    assert ROWS[path][1:3] == told


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_that_is_named_is_read(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = str(parse_settings({}))
    monkeypatch.setenv(variable, "[]")  # no setting with a variable is a list: texts take it, all others refuse it
    try:
        told = str(parse_settings({}))
    except SettingsError as exc:
        told = str(exc)
    assert told != defaults
    assert "no such setting" not in told
