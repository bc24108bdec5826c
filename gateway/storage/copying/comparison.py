"""Whether rows of the target are those of the source, in constant memory: counts, the first keys, and checksums."""

import hashlib
from collections.abc import Mapping, Sequence

import orjson

from gateway.storage.copying.tables import Key, Row, Table

_SHOWN_KEYS = 5


class Comparison:
    """Of one table, batch by batch in the source's order. Rows are compared in their canonical form."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._ours, self._theirs = hashlib.sha256(), hashlib.sha256()
        self.missing = 0
        """Rows that the target does not have."""
        self.differing = 0
        """Rows whose key is another row's in the target."""
        self.keys: list[Key] = []
        """The first few of both."""

    @property
    def checksums(self) -> tuple[str, str]:
        """SHA-256 of the source's rows, and of the target's rows under the same keys."""
        return self._ours.hexdigest(), self._theirs.hexdigest()

    def add(self, batch: Sequence[Row], found: Mapping[Key, Row]) -> Sequence[Row]:
        """Compare a batch with what the target has under its keys. Returns the rows that are missing there."""
        table = self._table
        missing: list[Row] = []
        ours: list[Row] = []
        theirs: list[Row] = []
        for row in batch:
            key = table.key(row)
            ours.append(table.canonical(row))
            if (other := found.get(key)) is None:
                missing.append(row)
                self.missing += 1
                self._note(key)
                continue
            theirs.append(table.canonical(other))
            if ours[-1] != theirs[-1]:
                self.differing += 1
                self._note(key)
        self._ours.update(_as_bytes(ours))
        self._theirs.update(_as_bytes(theirs))
        return missing

    def _note(self, key: Key) -> None:
        if len(self.keys) < _SHOWN_KEYS:
            self.keys.append(key)


def _as_bytes(rows: Sequence[Row]) -> bytes:
    return orjson.dumps(rows, default=bytes.hex)
