"""Label values that clients choose: each costs series while the process lives, so that their number is bounded."""

from collections.abc import Iterable

OTHERS = "other"


class Names:
    """So many names, those seen first, are told; all others together are `other`."""

    def __init__(self, most: int, known: Iterable[str] = ()) -> None:
        """`known` are always told, beyond `most` others."""
        self._told = set(known)
        self._most = most + len(self._told)

    def label(self, name: str) -> str:
        if name not in self._told:
            if len(self._told) >= self._most:
                return OTHERS
            self._told.add(name)
        return name
