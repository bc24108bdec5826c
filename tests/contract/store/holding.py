"""Turns that try to hold a session."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.domain import Session
from gateway.ports import Hold, OpenedTurn, Store
from tests.contract.store.values import opening

FIRST, SECOND, THIRD = Hold("hold_1"), Hold("hold_2"), Hold("hold_3")


async def takes(store: Store, session: Session, hold: Hold, *, lease: float = 30.0) -> bool:
    """Whether the hold gets the session."""
    found = await store.open_turn(opening(session, hold=hold, lease=lease))
    assert found is not None
    return isinstance(found, OpenedTurn)


async def with_ticket(store: Store, session: Session, hold: Hold, *, lease: float = 30.0) -> Hold:
    ticket = await store.queue_turn(session.user_id, session.id, lease=lease)
    assert ticket is not None
    return replace(hold, ticket=ticket)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - a lease that lapses in a database wakes nobody
            await asyncio.sleep(0.02)
