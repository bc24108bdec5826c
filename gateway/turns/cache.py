"""Recent windows, so that a turn reads only what this process has not seen.

The cache is never believed about what is newest: opening a turn always asks the store for messages after the newest
cached one, so that turns of other processes are seen. It is bounded by the bytes of the messages it holds.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from datetime import datetime

from gateway.history.exchanges import Remembered
from gateway.ports import OpenedTurn
from gateway.values import value

_ENTRY_OVERHEAD = 400
"""Bytes that an entry costs beside its messages' bodies, and a message beside its body; measured roughly."""


@value
class CachedWindow:
    """The newest injectable messages of a session: all of those with `floor < seq <= last_seq`.

    Save perhaps some before the session's first user message: they belong to no exchange.
    """

    epoch: int
    floor: int
    last_seq: int
    messages: Sequence[Remembered]
    created_at: datetime
    """When the session was created: another one may get the id of one that is gone."""

    @property
    def size(self) -> int:
        return _ENTRY_OVERHEAD * (1 + len(self.messages)) + sum([len(message.body) for message in self.messages])

    def covers(self, limit: int) -> bool:
        """True if no older message could be asked for by this limit."""
        return self.floor == 0 or len(self.messages) >= limit

    def appended(self, new: Sequence[Remembered], last_seq: int) -> "CachedWindow":
        if not new and last_seq == self.last_seq:
            return self
        return CachedWindow(self.epoch, self.floor, last_seq, (*self.messages, *new), self.created_at)

    def trimmed(self, limit: int) -> "CachedWindow":
        """The newest `limit` messages, or the whole newest exchange if that is longer."""
        spare = min(len(self.messages) - limit, self._newest_exchange())
        if spare <= 0:
            return self
        floor, messages = self.messages[spare - 1].seq, self.messages[spare:]
        return CachedWindow(self.epoch, floor, self.last_seq, messages, self.created_at)

    def _newest_exchange(self) -> int:
        """Index of the newest user message, 0 if there is none."""
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].role == "user":
                return index
        return 0


def merge(cached: CachedWindow | None, opened: OpenedTurn, read: Sequence[Remembered], limit: int) -> CachedWindow:
    """What is known after opening a turn: the cached messages and those just read."""
    session = opened.session
    inside_newest = 0 < session.exchange_seq <= opened.after  # the store reads the newest exchange to its end
    if opened.messages and len(opened.messages) >= limit and not inside_newest:
        # The store may have stopped at its limit, with more between what was cached and what was read.
        return CachedWindow(session.epoch, opened.messages[0].seq - 1, session.last_seq, read, session.created_at)
    if cached is not None and opened.after == cached.last_seq and cached.epoch == session.epoch:
        return cached.appended(read, session.last_seq)
    return CachedWindow(session.epoch, 0, session.last_seq, read, session.created_at)


class WindowCache:
    """Least recently used windows go first.

    The key holds the user's id: nothing cached for one user can be found by another, whatever becomes of sessions' ids.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, tuple[CachedWindow, int]] = OrderedDict()

    def get(self, key: Hashable) -> CachedWindow | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: Hashable, window: CachedWindow) -> None:
        self.drop(key)
        size = window.size
        if size > self._max_bytes:
            return
        self._entries[key] = (window, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, evicted) = self._entries.popitem(last=False)
            self._bytes -= evicted

    def drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry[1]
