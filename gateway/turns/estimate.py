"""Our own token counts of a request, with those of texts that come again and again remembered.

Pinned instructions and tools are the same on every turn of a session; counting them anew would cost more than the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from gateway.tokens.counter import TokenCounter
from gateway.tokens.definitions import PRIMING
from gateway.wire.chat import ChatRequest, NewChatMessage

_LARGEST_REMEMBERED = 32 * 1024
"""Bytes of JSON; what is longer is counted anew each time, off the event loop."""

_CALL_FIELDS = ("tools", "functions", "response_format")


class Estimator:
    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._message: Callable[[bytes, str], int] = lru_cache(maxsize=512)(self._count_message)
        self._call: Callable[[bytes, str], int] = lru_cache(maxsize=512)(self._count_call)

    async def messages(self, messages: Sequence[NewChatMessage], encoding: str) -> list[int]:
        """Tokens of each message; long texts are counted off the event loop."""
        return await self._counter.messages([message.data for message in messages], encoding)

    async def message(self, message: Mapping[str, Any], encoding: str) -> int:
        return (await self._counter.messages([message], encoding))[0]

    async def bodies(self, bodies: Sequence[bytes], encoding: str) -> int:
        """Tokens of messages that are known as JSON, together."""
        if not bodies:
            return 0
        if all(len(body) <= _LARGEST_REMEMBERED for body in bodies):
            return sum([self._message(body, encoding) for body in bodies])
        return sum(await self.recount([orjson.loads(body) for body in bodies], encoding))

    async def recount(self, messages: Sequence[Mapping[str, Any]], encoding: str) -> list[int]:
        """Tokens of each message, none of them remembered; many are counted off the event loop."""
        return await self._counter.messages(messages, encoding)

    async def call(self, params: Mapping[str, Any], encoding: str) -> int:
        """Tokens of the call itself: its priming, tools and response format."""
        described = {name: value for name, value in params.items() if value and name in _CALL_FIELDS}
        if not described:
            return PRIMING
        body = orjson.dumps(described)
        if len(body) <= _LARGEST_REMEMBERED:
            return self._call(body, encoding)
        return await self._counter.call_async(described, encoding)

    async def stateless(self, request: ChatRequest, encoding: str) -> int:
        """Tokens of the prompt of a call that has nothing but what the request brings."""
        sent = [message.body for message in (*request.instructions, *request.messages)]
        return await self.call(request.params, encoding) + await self.bodies(sent, encoding)

    def _count_message(self, body: bytes, encoding: str) -> int:
        return self._counter.message(orjson.loads(body), encoding)

    def _count_call(self, body: bytes, encoding: str) -> int:
        return self._counter.call(orjson.loads(body), encoding)
