"""Sessions as this process last stored them, so that a process that is alone need not read what it has just written.

Invariant: a session in here is what the database says, or nobody asks: whatever changes sessions here, other than
closing a turn, drops them before and after; whoever changes them elsewhere has ended this process's being alone, and
when it is alone again everything is dropped (presence.py).
"""

from collections import OrderedDict

from gateway.domain import Session
from gateway.ports import ClosedTurn
from gateway.storage.rules import appending, grown
from gateway.storage.sqlite.rows import from_instructions, from_metadata

_MOST_BYTES = 8_000_000

_SESSION_BYTES = 1_500
"""What a session takes beside its texts; measured roughly."""

_WIDE = 4
"""How many times the bytes of a name's UTF-8 it takes at most."""

_PARSED = 24
"""How many times the bytes of its JSON metadata takes at most."""

Key = tuple[str, str]
"""The user's id and the session's."""


class KnownSessions:
    """Least recently used sessions go first. For use from one event loop."""

    def __init__(self, max_bytes: int = _MOST_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._sessions: OrderedDict[Key, tuple[Session, int]] = OrderedDict()
        self.changes = 0
        """Grows with every change other than a turn's: what was read before one is not to be put in after it."""

    def get(self, key: Key) -> Session | None:
        found = self._sessions.get(key)
        return None if found is None else found[0]

    def put(self, session: Session, *, changes: int) -> None:
        """`changes`: how many there had been before the session was read."""
        if changes == self.changes:
            self._put((session.user_id, session.id), session, _size(session))

    def grow(self, turn: ClosedTurn, first_seq: int | None) -> None:
        """A turn was closed."""
        key = (turn.entry.user_id, turn.entry.session_id or "")
        session, size = self._sessions.get(key, (None, 0))
        if session is None:
            return
        if first_seq != (session.last_seq + 1 if turn.messages else 0):  # not the session that is in here
            self._drop(key)
            return
        after = grown(session, appending(turn))
        self._put(key, after, size if after.instructions == session.instructions else _size(after))

    def forget(self, *key: str) -> None:
        """Without a key, all of them."""
        self.changes += 1
        if key:
            user_id, session_id = key
            self._drop((user_id, session_id))
        else:
            self._sessions.clear()
            self._bytes = 0

    def _put(self, key: Key, session: Session, size: int) -> None:
        self._drop(key)
        self._sessions[key] = (session, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, evicted) = self._sessions.popitem(last=False)
            self._bytes -= evicted

    def _drop(self, key: Key) -> None:
        _, size = self._sessions.pop(key, (None, 0))
        self._bytes -= size


def _size(session: Session) -> int:
    names = len(session.id) + _WIDE * (len(session.name or "") + len(session.model or ""))
    metadata = _PARSED * len(from_metadata(session.metadata)) if session.metadata else 0
    return _SESSION_BYTES + names + len(from_instructions(session.instructions)) + metadata
