"""The context that a model is sent without a gateway: pinned instructions and whole recent exchanges, within limits."""

import time
from collections.abc import Sequence
from typing import Any

import orjson

from gateway.errors import ContextLengthExceeded
from gateway.history.exchanges import Exchange, Remembered, group, remember
from gateway.history.window import fit
from gateway.ports import OpenedTurn
from gateway.tokens.counter import TokenCounter
from gateway.wire.json import parse_array


async def recent_context(
    opened: OpenedTurn, counter: TokenCounter, *, max_tokens: int, max_messages: int, encoding: str
) -> list[dict[str, Any]]:
    """Raises ContextLengthExceeded if the instructions, and an exchange that waits for its reply, do not fit."""
    instructions = opened.session.instructions
    fixed = sum(await _count(instructions, counter, encoding))
    messages = await _remembered(opened, counter, encoding)
    _, history = group(messages)
    waiting = _waiting(messages, history)
    window = fit(
        instructions=instructions,
        history=history,
        new=(),
        answers=frozenset(),
        max_messages=max(max_messages, waiting),
        budget=max_tokens - fixed,
    )
    if fixed > max_tokens or (waiting and not window.history_messages):
        raise ContextLengthExceeded(
            f"{max_tokens} tokens are too few: the pinned instructions take {fixed}, and an exchange that still waits "
            "for its reply has to be sent with them. Allow more tokens, or shorten the messages.",
            param="max_tokens",
        )
    return parse_array(window.messages)


async def _remembered(opened: OpenedTurn, counter: TokenCounter, encoding: str) -> Sequence[Remembered]:
    """The history with its tokens in this encoding: as stored, or counted anew."""
    now = time.time()
    history = [kept for message in opened.messages if (kept := remember(message, now=now)) is not None]
    other = [message for message in history if message.encoding != encoding]
    counts = iter(await _count([message.body for message in other], counter, encoding))
    return [
        message if message.encoding == encoding else message._replace(tokens=next(counts), encoding=encoding)
        for message in history
    ]


async def _count(bodies: Sequence[bytes], counter: TokenCounter, encoding: str) -> list[int]:
    return await counter.messages([orjson.loads(body) for body in bodies], encoding)


def _waiting(messages: Sequence[Remembered], history: Sequence[Exchange]) -> int:
    """How many messages there are in the newest exchange, if its last one is for the model to answer; else 0."""
    return 0 if not history or messages[-1].role == "assistant" else history[-1].count
