"""Fitting a window: the pinned instructions, as many whole recent exchanges as may go in, and the new messages.

Invariant: the history in a window is a gapless run of exchanges that ends with the newest one. It starts with a user's
message, and stays within the limits, save that tool results are never parted from the calls they answer.
"""

from collections.abc import Sequence

from gateway.errors import ContextLengthExceeded
from gateway.history.exchanges import Exchange, Remembered, newest_first
from gateway.history.mending import mend
from gateway.values import value


@value
class Window:
    """The messages of one provider call, as wire JSON: pinned instructions, history, new ones."""

    messages: tuple[bytes, ...]
    history_messages: int
    history_tokens: int


def fit(
    *,
    instructions: Sequence[bytes],
    history: Sequence[Remembered],
    new: Sequence[bytes],
    answers: frozenset[str],
    max_messages: int,
    budget: int,
) -> Window:
    """Choose the history for one call, and put the window together.

    `history` is ascending by `seq`; it need not reach back to the session's first message, and is mended here.
    `answers` are the ids of the tool calls that `new` begins by answering: their exchange goes in whatever
    `max_messages` says. `budget` is the tokens that history may take. Only as many messages are looked at as are
    taken, and one exchange more.

    Raises ContextLengthExceeded if the exchange that `answers` belong to does not fit the budget.
    """
    taken: list[Exchange] = []
    count = tokens = 0
    has_tools = bool([True for message in history if message.calls or message.role == "tool"])
    for found in newest_first(history):
        is_newest = not taken
        exchange = _mended(found, answers if is_newest else frozenset()) if has_tools else found
        fits = tokens + exchange.tokens <= budget
        is_required = is_newest and bool(answers)
        if is_required and not fits:
            raise _too_long(exchange.tokens, budget)
        length = len(exchange.messages)
        if not fits or (count + length > max_messages and not is_required):
            break
        taken.append(exchange)
        count += length
        tokens += exchange.tokens
    injected = [message.body for exchange in reversed(taken) for message in exchange.messages]
    return Window((*instructions, *injected, *new), count, tokens)


def _mended(exchange: Exchange, answers: frozenset[str]) -> Exchange:
    """Calls and their answers never lie in two exchanges, so that each can be mended by itself."""
    messages = mend(exchange.messages, answers)
    if messages is exchange.messages:
        return exchange
    return Exchange(messages, sum(message.tokens for message in messages))


def _too_long(tokens: int, budget: int) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        f"The tool results in this request answer calls from an exchange of {tokens} tokens, which has to be sent "
        f"with them, but the model's context window has room for {max(0, budget)} tokens of history. Shorten the tool "
        "results, ask for a shorter reply, or choose a model with a larger context window.",
        param="messages",
    )
