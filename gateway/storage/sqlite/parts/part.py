"""What every part of the store works with."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from gateway.storage.sqlite.known_sessions import KnownSessions
from gateway.storage.sqlite.lanes import Lanes


class Part:
    """A part of the store. All of them work on the same lanes, and forget a known session when they change it."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._known = KnownSessions()
        self._backlog = 0
        """Of the search index, when it was last looked at."""

    @contextmanager
    def _changing(self, *key: str) -> Iterator[None]:
        """While a session, by user and id, or any is changed otherwise than by a turn."""
        self._known.forget(*key)
        try:
            yield
        except BaseException as exc:
            self._forget_failed(exc, *key)
            raise
        self._known.forget(*key)

    def _forget_failed(self, exc: BaseException, *key: str) -> None:
        self._known.forget(*key)
        if isinstance(exc, asyncio.CancelledError):
            # What the writer has begun it brings to its end, and until then the old session is read. It does one thing
            # after the other: once it has done nothing, that is over.
            over = asyncio.ensure_future(self._lanes.write(_nothing))
            over.add_done_callback(partial(self._forget_late, key))

    def _forget_late(self, key: tuple[str, ...], over: asyncio.Future[None]) -> None:
        if not over.cancelled():
            over.exception()  # seen: a store that was closed meanwhile has nothing to say
        self._known.forget(*key)


def _nothing(connection: sqlite3.Connection) -> None:
    del connection
