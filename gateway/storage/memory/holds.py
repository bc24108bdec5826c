"""Who holds which session, and who waits for it.

Invariant: a session has one holder at most, and while anybody waits for it, only the earliest ticket can become that.
"""

from gateway.ports import Hold


class Holds:
    """Holds and tickets of one process. They end with it, so that there is no lease to run out."""

    def __init__(self) -> None:
        self._holders: dict[str, Hold] = {}
        self._tickets: dict[int, str] = {}
        self._last_ticket = 0

    def take(self, session_id: str, hold: Hold) -> bool:
        """Whether it has the session now."""
        holder = self._holders.get(session_id)
        if holder is not None:
            return holder.id == hold.id
        waiting = [ticket for ticket, waited_for in self._tickets.items() if waited_for == session_id]
        if waiting and (hold.ticket is None or min(waiting) < hold.ticket):
            return False
        self._holders[session_id] = hold
        return True

    def is_held(self, session_id: str) -> bool:
        return session_id in self._holders

    def queue(self, session_id: str) -> int:
        self._last_ticket += 1
        self._tickets[self._last_ticket] = session_id
        return self._last_ticket

    def let_go(self, session_id: str, hold: Hold) -> None:
        if hold.ticket is not None:
            self._tickets.pop(hold.ticket, None)
        holder = self._holders.get(session_id)
        if holder is not None and holder.id == hold.id:
            del self._holders[session_id]

    def forget(self, session_id: str) -> None:
        """The session is gone, and whoever held it holds nothing."""
        self._holders.pop(session_id, None)
