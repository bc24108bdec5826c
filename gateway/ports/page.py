"""One part of a list."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from gateway.values import value

T = TypeVar("T")


@value
class Page(Generic[T]):
    items: Sequence[T]
    has_more: bool
