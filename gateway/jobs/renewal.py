"""Says that this process lives, so that its turns keep their sessions for as long as their providers take."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from gateway.errors import StorageUnavailable
from gateway.ports import Hold, Store

log = structlog.stdlib.get_logger("gateway")


class Renewal:
    """Renews three times within a lease: one that goes missing costs no turn its session."""

    name = "renewal"

    def __init__(
        self,
        store: Store,
        live: Callable[[], Sequence[tuple[str, Hold]]],
        *,
        lease: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`live`: the holds to renew, each with its session's id. `lease`: seconds."""
        self._store = store
        self._live = live
        self._lease = lease
        self._sleep = sleep

    async def run(self) -> None:
        while True:
            await self._sleep(self._lease / 3)
            try:
                await self._store.renew_holds(self._live(), lease=self._lease)
            except StorageUnavailable:
                log.warning("holds not renewed: the database does not answer")
