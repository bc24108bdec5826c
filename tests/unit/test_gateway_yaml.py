"""gateway.yaml shows every setting at its default, and the example configurations are valid."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.settings import ModelSettings, Settings, load_settings, parse_settings

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "gateway.yaml"
EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.yaml"))


def blocks(text: str) -> dict[str, str]:
    """The text of each top-level key: from its line (and the comment right above it) to the next one's."""
    parts = re.split(r"^((?:#.*\n)*\w+:)", text, flags=re.MULTILINE)[1:]
    return {head.splitlines()[-1].rstrip(":"): head + body for head, body in zip(parts[::2], parts[1::2], strict=True)}


def documented_fields() -> Iterator[tuple[str, str]]:
    """Each setting as (group, name): those of one model entry are of the group `models`."""
    for group, field in Settings.model_fields.items():
        settings = field.annotation
        if isinstance(settings, type) and issubclass(settings, BaseModel):
            yield from ((group, name) for name in written_names(settings))
        else:
            assert group == "models", f"{group} is a new kind of setting: say here how gateway.yaml documents it"
            yield from ((group, name) for name in written_names(ModelSettings))


def written_names(settings: type[BaseModel]) -> Iterator[str]:
    """As they are written in the file, those of a group within the group too."""
    for name, field in settings.model_fields.items():
        yield field.alias or name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from written_names(field.annotation)


def test_the_shipped_file_holds_the_defaults() -> None:
    assert load_settings(SHIPPED) == parse_settings({})


@pytest.mark.parametrize(("group", "name"), list(documented_fields()))
def test_the_shipped_file_explains_every_setting(group: str, name: str) -> None:
    block = blocks(SHIPPED.read_text(encoding="utf-8"))[group]
    assert re.search(rf"^[# ]*(?:- )?{name}: +(?:\S.* +)?# \S", block, flags=re.MULTILINE), f"{group}.{name}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_valid(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)\}", example.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, f"value of {name}")
    assert load_settings(example) != parse_settings({})


def test_the_readme_lists_the_examples() -> None:
    readme = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\(examples/(.+?)\)", readme)) == [path.name for path in EXAMPLES]
