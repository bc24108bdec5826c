"""Values: equal by what they hold, hashed so, copied with changes, and read-only to the type checker."""

from collections.abc import Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

import pytest

from gateway.values import value


@value
class Point:
    x: int
    y: int = 0
    tags: Sequence[str] = field(default_factory=tuple)
    secret: str | None = field(default=None, repr=False)


if TYPE_CHECKING:
    # mypy goes through the tests and complains of an ignored error that there is not: so it does refuse this.
    Point(1).x = 2  # type: ignore[misc]  # read-only


def test_values_are_equal_and_hash_alike_if_their_fields_are() -> None:
    assert Point(1, 2) == Point(x=1, y=2)
    assert Point(1, 2) != Point(1, 3)
    assert len({Point(1, 2), Point(1, 2), Point(1, 3)}) == 2


def test_a_value_is_copied_with_changes() -> None:
    before = Point(1, 2, secret="s")
    assert replace(before, x=5) == Point(5, 2, secret="s")
    assert before.x == 1


def test_a_value_shows_its_fields_but_for_those_that_hide() -> None:
    assert repr(Point(1, 2, secret="s")) == "Point(x=1, y=2, tags=())"


def test_a_value_has_no_room_for_a_misspelt_field() -> None:
    with pytest.raises(AttributeError):
        setattr(Point(1), "z", 3)  # noqa: B010 - an assignment would be refused by mypy, too
