"""Recent windows, so that a turn reads only what this process has not seen.

The cache is never believed about what is newest: opening a turn always asks the store for messages after the newest
cached one, so that turns of other processes are seen. It is bounded by the bytes of the exchanges it holds.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import NamedTuple

from gateway.history.exchanges import Exchange, Remembered, group
from gateway.ports import OpenedTurn

_ENTRY_OVERHEAD = 600
"""Bytes that an entry costs beside its exchanges, measured roughly; below likewise."""

_EXCHANGE_OVERHEAD = 250
"""Bytes that an exchange costs beside its body."""

_MESSAGE_OVERHEAD = 350
"""Bytes that a message which is kept by itself costs beside its body."""


class CachedWindow(NamedTuple):
    """The newest exchanges of a session: all its injectable messages with `floor < seq <= last_seq`, save strays.

    What it says of its exchanges together is kept up as they come and go, so that no turn has to go through them.
    """

    epoch: int
    floor: int
    last_seq: int
    created_at: datetime
    """When the session was created: another one may get the id of one that is gone."""
    exchanges: tuple[Exchange, ...]
    """Oldest first."""
    strays: int
    """So many messages above the floor, or more, come before the first user's, and so belong to no exchange here."""
    length: int
    """How many messages the exchanges have."""
    size: int
    """About how many bytes of memory it takes."""
    encoding: str | None
    """What all tokens were counted with; None if that is not known to be one encoding."""
    expires_at: float
    """Until then, in seconds since 1970, no provider forgets any of its audio."""

    def covers(self, limit: int) -> bool:
        """True if no older message could be asked for by this limit."""
        return self.floor == 0 or self.strays + self.length >= limit

    def appended(self, new: Sequence[Remembered], last_seq: int) -> "CachedWindow | None":
        """With these messages, which follow its own. None if it has to be read anew: see `Exchange.continued`."""
        if not new and last_seq == self.last_seq:
            return self
        first, added = group(new)
        exchanges = self.exchanges
        if exchanges and not first:
            return self._with_newest(added, last_seq)
        if exchanges:
            newest = exchanges[-1].continued(first)
            if newest is None:
                return None
            exchanges = (*exchanges[:-1], newest)
        return window_of((*exchanges, *added), self.epoch, self.floor, last_seq, self.created_at, self.strays)

    def trimmed(self, limit: int) -> "CachedWindow":
        """Without the oldest exchanges that neither the newest `limit` messages nor the newest exchange reach into."""
        length, gone = self.length, 0
        while gone < len(self.exchanges) - 1 and length - self.exchanges[gone].count >= limit:
            length -= self.exchanges[gone].count
            gone += 1
        if not gone:
            return self
        kept = self.exchanges[gone:]
        return CachedWindow(
            self.epoch,
            kept[0].first_seq - 1,
            self.last_seq,
            self.created_at,
            kept,
            0,
            length,
            self.size - sum([_size(exchange) for exchange in self.exchanges[:gone]]),
            self.encoding,
            self.expires_at,
        )

    def renewed(self, now: float) -> "CachedWindow":
        """As it is to be sent at `now`, in seconds since 1970: the very same, unless some audio has expired since."""
        if now < self.expires_at:
            return self
        return self.exchanged(exchange.renewed(now) for exchange in self.exchanges)

    def exchanged(self, exchanges: Iterable[Exchange]) -> "CachedWindow":
        """With these in place of its exchanges, to be sent otherwise or counted anew."""
        return window_of(tuple(exchanges), self.epoch, self.floor, self.last_seq, self.created_at, self.strays)

    def _with_newest(self, added: Sequence[Exchange], last_seq: int) -> "CachedWindow":
        """With whole exchanges after its own."""
        length, size, encoding, expires_at = self.length, self.size, self.encoding, self.expires_at
        for exchange in added:
            length += exchange.count
            size += _size(exchange)
            if exchange.encoding != encoding:
                encoding = None
            if exchange.messages:
                expires_at = min(expires_at, exchange.expires_at)
        exchanges = (*self.exchanges, *added)
        return CachedWindow(
            self.epoch,
            self.floor,
            last_seq,
            self.created_at,
            exchanges,
            self.strays,
            length,
            size,
            encoding,
            expires_at,
        )


def window_of(
    exchanges: tuple[Exchange, ...], epoch: int, floor: int, last_seq: int, created_at: datetime, strays: int
) -> CachedWindow:
    """The window of these exchanges, with everything that it says of them together."""
    encodings = {exchange.encoding for exchange in exchanges}
    return CachedWindow(
        epoch,
        floor,
        last_seq,
        created_at,
        exchanges,
        strays,
        length=sum([exchange.count for exchange in exchanges]),
        size=_ENTRY_OVERHEAD + sum([_size(exchange) for exchange in exchanges]),
        encoding=encodings.pop() if len(encodings) == 1 else None,
        expires_at=min([exchange.expires_at for exchange in exchanges], default=inf),
    )


def _size(exchange: Exchange) -> int:
    own = _EXCHANGE_OVERHEAD + len(exchange.body)
    return own + sum([_MESSAGE_OVERHEAD + len(message.body) for message in exchange.messages])


def read_anew(opened: OpenedTurn, read: Sequence[Remembered], limit: int) -> CachedWindow:
    """What is known after opening a turn without anything cached; `read` is what is left of its messages."""
    session = opened.session
    # The store may have stopped at its limit, with more before what was read.
    floor = opened.messages[0].seq - 1 if opened.messages and len(opened.messages) >= limit else 0
    strays, exchanges = group(read)
    return window_of(exchanges, session.epoch, floor, session.last_seq, session.created_at, len(strays))


def merge(
    cached: CachedWindow | None, opened: OpenedTurn, read: Sequence[Remembered], limit: int
) -> CachedWindow | None:
    """What is known after opening a turn: the cached messages and those just read. None if all must be read anew."""
    session = opened.session
    if cached is None or cached.last_seq != opened.after or cached.epoch != session.epoch:
        return read_anew(opened, read, limit)
    if opened.messages and len(opened.messages) >= limit:
        inside_newest = 0 < session.exchange_seq <= opened.after  # the store reads the newest exchange to its end
        if not inside_newest:  # there may be more between what was cached and what was read
            return read_anew(opened, read, limit)
    return cached.appended(read, session.last_seq)


class WindowCache:
    """Least recently used windows go first.

    The key holds the user's id: nothing cached for one user can be found by another, whatever becomes of sessions' ids.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, CachedWindow] = OrderedDict()

    def get(self, key: Hashable) -> CachedWindow | None:
        window = self._entries.get(key)
        if window is not None:
            self._entries.move_to_end(key)
        return window

    def put(self, key: Hashable, window: CachedWindow) -> None:
        self.drop(key)
        if window.size > self._max_bytes:
            return
        self._entries[key] = window
        self._bytes += window.size
        while self._bytes > self._max_bytes:
            _, evicted = self._entries.popitem(last=False)
            self._bytes -= evicted.size

    def gauges(self) -> Mapping[str, float]:
        """For telemetry/gauges.py."""
        return {"window_cache_entries": len(self._entries), "window_cache_bytes": self._bytes}

    def drop(self, key: Hashable) -> None:
        window = self._entries.pop(key, None)
        if window is not None:
            self._bytes -= window.size
