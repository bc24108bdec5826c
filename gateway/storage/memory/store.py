"""ports.Store on dictionaries.

It refuses what a database would refuse by its constraints, so that what works here works there. No method awaits
anything, which is what makes each of them one transaction: all is checked first, then all is written.
"""

from collections.abc import Mapping

from gateway.storage.memory.parts.keys import Keys
from gateway.storage.memory.parts.ledger import Ledger
from gateway.storage.memory.parts.search import Search
from gateway.storage.memory.parts.sessions import Sessions
from gateway.storage.memory.parts.turns import Turns
from gateway.storage.memory.parts.upkeep import Upkeep


class InMemoryStore(Keys, Sessions, Search, Turns, Ledger, Upkeep):
    """It is open from the start; closed, it is as unavailable as any."""

    async def start(self) -> None:
        self._is_open = True

    async def aclose(self) -> None:
        self._is_open = False

    async def ping(self) -> None:
        self._opened()

    def gauges(self) -> Mapping[str, float]:
        return {}
