"""ports.Store on one SQLite file: each method is a work for one of its lanes."""

import sqlite3
from collections.abc import Mapping

from gateway.storage.sqlite.lanes import Lanes
from gateway.storage.sqlite.parts.keys import Keys
from gateway.storage.sqlite.parts.ledger import Ledger
from gateway.storage.sqlite.parts.search import Search
from gateway.storage.sqlite.parts.sessions import Sessions
from gateway.storage.sqlite.parts.turns import Turns
from gateway.storage.sqlite.parts.upkeep import Upkeep
from gateway.storage.sqlite.queries import QUERIES


class SqliteStore(Keys, Sessions, Search, Turns, Ledger, Upkeep):
    """ports.Store on the file of `url`, sqlite:///PATH, which several processes of one machine may serve from at once.

    `timeout`: seconds that the database may take to answer. `checkpoints=False` is for a process beside those that
    serve, such as a command: the reason is in pragmas.py. Raises ValueError for any other kind of URL.
    """

    def __init__(self, url: str, *, timeout: float = 2.0, checkpoints: bool = True) -> None:
        super().__init__(Lanes(url, timeout=timeout, checkpoints=checkpoints))

    async def start(self) -> None:
        self._known.forget()
        await self._lanes.start()

    async def aclose(self) -> None:
        await self._lanes.aclose()

    async def ping(self) -> None:
        await self._lanes.read(_ping)

    def gauges(self) -> Mapping[str, float]:
        return {"database_write_queue": self._lanes.write_queue, "search_index_backlog": self._backlog}


def _ping(connection: sqlite3.Connection) -> None:
    connection.execute(QUERIES["ping"]).fetchone()
