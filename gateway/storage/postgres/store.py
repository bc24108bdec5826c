"""ports.Store on PostgreSQL: each method is a work on a connection of a pool."""

from collections.abc import Mapping

from gateway.storage.postgres.parts.keys import Keys
from gateway.storage.postgres.parts.ledger import Ledger
from gateway.storage.postgres.parts.search import Search
from gateway.storage.postgres.parts.sessions import Sessions
from gateway.storage.postgres.parts.turns import Turns
from gateway.storage.postgres.parts.upkeep import Upkeep
from gateway.storage.postgres.pool import Link, Pool
from gateway.storage.postgres.queries import QUERIES
from gateway.storage.postgres.schema import prepare


class PostgresStore(Keys, Sessions, Search, Turns, Ledger, Upkeep):
    """ports.Store on the database of `url`, postgresql://USER:PASSWORD@HOST/DATABASE and whatever libpq's form allows.

    `timeout`: seconds that the database may take to answer. `pool_size`: connections at most. `statement_cache_size`:
    statements kept prepared on each; 0 where connections are shared by transaction, as by pgbouncer. `statements` are
    those of queries.sql or others of the same names, parameters and columns.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 2.0,
        pool_size: int = 10,
        statement_cache_size: int = 100,
        statements: Mapping[str, str] = QUERIES,
    ) -> None:
        pool = Pool(url, statements, timeout=timeout, size=pool_size, statement_cache_size=statement_cache_size)
        super().__init__(pool, timeout=timeout)

    async def start(self) -> None:
        await self._pool.start()
        try:
            await self._pool.run(prepare, patience=None)  # migrating takes as long as it takes
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def ping(self) -> None:
        await self._read(_ping)

    def gauges(self) -> Mapping[str, float]:
        return {**self._pool.gauges(), "search_index_backlog": self._backlog}


async def _ping(link: Link) -> None:
    await link.row("ping")
