"""Where turns are kept: all that an adapter to a database does, under one name."""

from collections.abc import Mapping
from typing import Protocol

from gateway.ports.keys import Keys
from gateway.ports.ledger import Ledger
from gateway.ports.search import Search
from gateway.ports.sessions import Sessions
from gateway.ports.turns import Turns
from gateway.ports.upkeep import Upkeep


class Store(Keys, Sessions, Search, Turns, Ledger, Upkeep, Protocol):
    """Where users, keys, sessions, messages, the ledger and the audit log are kept.

    Every method is one transaction, and those of a turn one round trip each; opening a turn that creates its session
    may take two. Reads of sessions and messages name the user, and find nothing that is not theirs. Any failure of the
    database is raised as errors.StorageUnavailable, text that cannot be stored (storage/texts.py) as
    errors.InvalidRequest, a caller's mistake (an id used twice, an owner that does not exist) as an adapter's own
    exception; a write that has returned is on disk. An `audit` entry is written in the same transaction, if the
    operation did anything. Methods may be called concurrently from any task of one event loop.
    """

    async def start(self) -> None:
        """Open connections and bring the schema up to date."""

    async def aclose(self) -> None:
        """Finish queued writes and let every connection go. Closing twice is harmless."""

    async def ping(self) -> None:
        """Return if the database answers."""

    def gauges(self) -> Mapping[str, float]:
        """What telemetry/gauges.py tells of a database: always the same names, in any state of the store, at once."""
