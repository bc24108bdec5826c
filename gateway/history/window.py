"""Fitting a window: the pinned instructions, as many whole recent exchanges as may go in, and the new messages.

Invariant: the history in a window is a gapless run of exchanges that ends with the newest one. It starts with a user's
message, and stays within the limits, save that tool results are never parted from the calls they answer.
"""

from collections.abc import Sequence

from gateway.errors import ContextLengthExceeded
from gateway.history.exchanges import Exchange
from gateway.history.mending import mend
from gateway.values import value

_NOTHING: frozenset[str] = frozenset()


@value
class Window:
    """The messages of one provider call: pinned instructions, history, new ones."""

    messages: tuple[bytes, ...]
    """Fragments of a JSON array, to be joined by commas: an exchange of the history is one, whatever its length."""
    history_messages: int
    history_tokens: int


def fit(
    *,
    instructions: Sequence[bytes],
    history: Sequence[Exchange],
    new: Sequence[bytes],
    answers: frozenset[str],
    max_messages: int,
    budget: int,
) -> Window:
    """Choose the history for one call, and put the window together.

    `history` is ascending by `seq`; it need not reach back to the session's first exchange, and is mended here.
    `answers` are the ids of the tool calls that `new` begins by answering: their exchange goes in whatever
    `max_messages` says. `budget` is the tokens that history may take. Only as many exchanges are looked at as are
    taken, and one more.

    Raises ContextLengthExceeded if the exchange that `answers` belong to does not fit the budget.
    """
    taken: list[bytes] = []
    count = tokens = 0
    for exchange in reversed(history):
        body, length, cost = exchange.body, exchange.count, exchange.tokens
        if exchange.messages:
            body, length, cost = _mended(exchange, answers)
        if answers:  # they belong to the newest exchange, so that it is required
            if cost > budget:
                raise _too_long(cost, budget)
            answers = _NOTHING
        elif tokens + cost > budget or count + length > max_messages:
            break
        taken.append(body)
        count += length
        tokens += cost
    taken.reverse()
    return Window((*instructions, *taken, *new), count, tokens)


def _mended(exchange: Exchange, answers: frozenset[str]) -> tuple[bytes, int, int]:
    """What is sent of an exchange, with its number of messages and its tokens.

    Calls and their answers never lie in two exchanges, so that each can be mended by itself.
    """
    messages = mend(exchange.messages, answers)
    body = b",".join([message.body for message in messages])
    return body, len(messages), sum([message.tokens for message in messages])


def _too_long(tokens: int, budget: int) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        f"The tool results in this request answer calls from an exchange of {tokens} tokens, which has to be sent "
        f"with them, but the model's context window has room for {max(0, budget)} tokens of history. Shorten the tool "
        "results, ask for a shorter reply, or choose a model with a larger context window.",
        param="messages",
    )
