"""Counters in Redis, or Valkey, which all replicas share: each step is a script, one round trip.

Nothing is kept there that could not be lost: rolling limits begin anew, quotas are seeded from the ledger, and slots
are taken again when they are next renewed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from gateway.auth.limiting import scripts
from gateway.auth.limiting.counters import LEASE, Charge, Count, CountersUnavailable, Slot, Taken

_PREFIX = "gateway:limits:"


class RedisCounters:
    def __init__(self, url: str, *, timeout: float, lease: float = LEASE) -> None:
        """`timeout`: seconds that a step may take in all. `lease`: seconds, rounded up."""
        # A connection that has died while nobody used it costs one more try; a server that is away costs no more.
        pool = BlockingConnectionPool.from_url(url, timeout=timeout, retry=Retry(NoBackoff(), 1))
        self._redis = Redis(connection_pool=pool)
        self._timeout = timeout
        self._lease = -int(-lease // 1)
        self._take = self._redis.register_script(scripts.TAKE)
        self._seed = self._redis.register_script(scripts.SEED)
        self._settle = self._redis.register_script(scripts.SETTLE)
        self._renew = self._redis.register_script(scripts.RENEW)

    async def take(self, charges: Sequence[Charge], slots: Sequence[Slot] = (), holder: str = "") -> Taken:
        granted, at, counts, held = await self._run(
            self._take, _keys(charges, slots), self._asked(charges, slots, holder)
        )
        return Taken(
            granted == 1, at, [Count(used, wait, reset, seeded == 1) for used, wait, reset, seeded in counts], held
        )

    async def seed(self, charge: Charge, used: int) -> None:
        await self._run(self._seed, _keys([charge], ()), charge.period, used, charge.expires_in)

    async def settle(self, charges: Sequence[Charge], slots: Sequence[Slot] = (), holder: str = "") -> None:
        await self._run(self._settle, _keys(charges, slots), self._asked(charges, slots, holder))

    async def renew(self, holders: Sequence[tuple[str, Sequence[Slot]]]) -> None:
        """Also where Redis knows of none: it may have forgotten everything, and these calls run all the same."""
        pairs = [(_PREFIX + slot.counter, holder) for holder, slots in holders for slot in slots]
        if pairs:
            await self._run(self._renew, [key for key, _ in pairs], self._lease, *[holder for _, holder in pairs])

    async def aclose(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _run(self, script: AsyncScript, keys: Sequence[str], *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await script(keys, arguments)
        except (RedisError, OSError, TimeoutError) as exc:
            raise CountersUnavailable(type(exc).__name__) from exc

    def _asked(self, charges: Sequence[Charge], slots: Sequence[Slot], holder: str) -> bytes:
        lists = {"charges": [asdict(charge) for charge in charges], "slots": [asdict(slot) for slot in slots]}
        return orjson.dumps({**lists, "holder": holder, "lease": self._lease})


def _keys(charges: Sequence[Charge], slots: Sequence[Slot]) -> list[str]:
    return [_PREFIX + charge.counter for charge in charges] + [_PREFIX + slot.counter for slot in slots]
