"""Values: what is made once, compared by what it holds, and never changed.

A turn in a session makes 25 of them, with 170 fields. `@dataclass(frozen=True)` sets each field by a call of
`object.__setattr__`, which makes a value two to six times as dear, only to refuse an assignment that the type checker
has refused already. So the type checker is left to do it alone: to it a `@value` is frozen, at runtime it is a
dataclass with slots like any other.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a class of annotated fields a dataclass whose instances mypy lets nobody change.

    Everything of `dataclasses` works: `field`, `replace`, `fields`. Values are equal if their fields are, and can be
    hashed if their fields can: "unsafe" only where somebody changes one, which the type checker refuses.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
