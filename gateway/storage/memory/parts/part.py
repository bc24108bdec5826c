"""What every part of the store works on."""

from gateway.errors import StorageUnavailable
from gateway.storage.memory.tables import Tables


class Part:
    """A part of the store. All of them work on the same tables."""

    def __init__(self) -> None:
        self._is_open = True
        self._tables = Tables()

    def _opened(self) -> Tables:
        if not self._is_open:
            raise StorageUnavailable
        return self._tables
