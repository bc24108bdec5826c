"""What `gateway keys` and `gateway users` take for limits, and show: NAME=NUMBER; NAME=none for one that is to go."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from gateway.cli.console import fail

Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=NUMBER",
        help="Such as requests_per_minute=60 or dollars_per_day=5; repeatable. NAME=none takes one away.",
    ),
]


def given_limits(texts: Sequence[str]) -> dict[str, int | float | str | None]:
    """As the routes take them in JSON; what is no number is left for the same validation to refuse."""
    limits: dict[str, int | float | str | None] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if not equals:
            fail(f"Expected --limit NAME=NUMBER, such as requests_per_minute=60, and not {text!r}.", code=2)
        limits[name] = None if number == "none" else _number(number)
    return limits


def shown_limits(limits: Mapping[str, float]) -> str:
    """Those that are set, as `--limit` takes them; where none is, the defaults of the settings hold."""
    return " ".join(f"{name}={str(value).removesuffix('.0')}" for name, value in limits.items()) or "-"


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
