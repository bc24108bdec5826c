"""Holds are renewed three times within a lease, whatever the database does meanwhile."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.errors import StorageUnavailable
from gateway.jobs.renewal import Renewal
from gateway.ports import Hold
from gateway.storage.memory import InMemoryStore

LIVE = [("sess_1", Hold("a", 3)), ("sess_2", Hold("b"))]


class Recording(InMemoryStore):
    def __init__(self, *, is_down_at: int = -1) -> None:
        super().__init__()
        self.calls: list[tuple[Sequence[tuple[str, Hold]], float]] = []
        self._is_down_at = is_down_at

    async def renew_holds(self, holds: Sequence[tuple[str, Hold]], *, lease: float) -> None:
        self.calls.append((list(holds), lease))
        if len(self.calls) == self._is_down_at:
            raise StorageUnavailable


@pytest.mark.parametrize("is_down_at", [-1, 1, 2])
async def test_what_is_alive_is_renewed_again_and_again(is_down_at: int) -> None:
    store, pauses = Recording(is_down_at=is_down_at), list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Renewal(store, lambda: LIVE, lease=30.0, sleep=sleep).run()
    assert pauses == [10.0] * 4
    assert store.calls == [(LIVE, 30.0)] * 3
