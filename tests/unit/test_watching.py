"""A client is watched once its turn has taken a while, or as soon as that is asked for; and told of when it leaves."""

import asyncio

from starlette.types import Message

from gateway.api.watching import Watch, Watches

_PATIENCE = 10.0
"""Seconds after which a watch that should have begun has been forgotten."""


class Client:
    """Sends the rest of a body, then leaves when told to."""

    def __init__(self) -> None:
        self.is_watched = asyncio.Event()
        self.may_leave = asyncio.Event()
        self.has_left = asyncio.Event()
        self.watch = Watch(self._receive, self.has_left.set)
        self.asked = 0

    async def _receive(self) -> Message:
        self.asked += 1
        self.is_watched.set()
        if self.asked == 1:
            return {"type": "http.request"}
        await self.may_leave.wait()
        return {"type": "http.disconnect"}


async def test_a_client_whose_turn_takes_long_is_watched() -> None:
    watches, client = Watches(), Client()
    watches.add(client.watch)
    await asyncio.wait_for(client.is_watched.wait(), _PATIENCE)
    assert not client.has_left.is_set()
    client.may_leave.set()
    await asyncio.wait_for(client.has_left.wait(), _PATIENCE)


async def test_a_client_whose_turn_was_quick_is_not() -> None:
    watches, quick, slow = Watches(), Client(), Client()
    for client in (quick, slow):
        watches.add(client.watch)
    watches.remove(quick.watch)
    await asyncio.wait_for(slow.is_watched.wait(), _PATIENCE)
    assert quick.asked == 0


async def test_one_that_comes_while_others_are_waited_for_has_its_time_too() -> None:
    watches, first, second, third = Watches(), Client(), Client(), Client()
    watches.add(first.watch)
    await asyncio.wait_for(first.is_watched.wait(), _PATIENCE)
    watches.add(second.watch)
    await asyncio.wait_for(second.is_watched.wait(), _PATIENCE)
    for client in (first, second):
        watches.remove(client.watch)
    watches.add(third.watch)
    await asyncio.wait_for(third.is_watched.wait(), _PATIENCE)


async def test_a_watch_can_be_started_at_once_and_is_started_once() -> None:
    client = Client()
    client.watch.start()
    client.watch.start()
    await client.is_watched.wait()
    client.may_leave.set()
    await client.has_left.wait()
    assert client.asked == 2


async def test_nobody_is_told_of_a_client_that_leaves_after_its_turn() -> None:
    watches, client = Watches(), Client()
    watches.add(client.watch)
    client.watch.start()
    await client.is_watched.wait()
    watches.remove(client.watch)
    client.may_leave.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not client.has_left.is_set()
