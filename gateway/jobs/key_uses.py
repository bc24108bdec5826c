"""Stores when keys were last used: many uses in one write, and none of them in a request's way."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import structlog

from gateway.errors import StorageUnavailable
from gateway.ports import Store

_INTERVAL = 30.0
"""Seconds between two writes."""

log = structlog.stdlib.get_logger("gateway")


class KeyUses:
    """Writes what is left once more when it is stopped: a use before the end of the process is not forgotten."""

    name = "key uses"

    def __init__(
        self,
        store: Store,
        take: Callable[[], Mapping[str, datetime]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`take`: when keys were last used since it was last called, by their ids."""
        self._store = store
        self._take = take
        self._sleep = sleep
        self._unwritten: dict[str, datetime] = {}
        """What was taken and could not be written."""

    async def run(self) -> None:
        try:
            while True:
                await self._sleep(_INTERVAL)
                await self._write()
        except asyncio.CancelledError:
            await self._write_last()
            raise

    async def _write(self) -> None:
        self._unwritten.update(self._take())
        if self._unwritten:
            await self._store.note_key_uses(self._unwritten)
            self._unwritten = {}

    async def _write_last(self) -> None:
        try:
            await self._write()
        except StorageUnavailable:
            log.warning("last uses of keys not stored: the database does not answer", keys=len(self._unwritten))
