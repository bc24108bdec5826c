"""Broken tool calls are mended; a whole history is not even copied."""

import pytest

from gateway.history.exchanges import Remembered
from gateway.history.mending import mend
from tests.unit.histories import asks, says, sent, tells, user


@pytest.mark.parametrize(
    ("history", "answered"),
    [
        ([], frozenset()),
        ([user(1), says(), user(3), says()], frozenset()),
        ([user(1), asks("a", "b"), tells("b"), tells("a"), asks("c"), tells("c"), says()], frozenset()),
        ([user(1), asks("a", "b")], frozenset({"a", "b"})),
        ([user(1), asks("a", "b"), tells("a")], frozenset({"b"})),
        # The new request forgets one: the provider will name it, and the turn fails without a trace in the history.
        ([user(1), asks("a", "b")], frozenset({"a"})),
    ],
)
def test_a_whole_history_is_left_alone(history: list[Remembered], answered: frozenset[str]) -> None:
    assert mend(history, answered) is history


def test_a_dangling_call_is_left_out_with_the_answers_it_got() -> None:
    history = [user(1), asks("a", "b"), tells("a"), user(4), says()]
    assert mend(history) == [history[0], *history[3:]]
    assert mend(history[:3], frozenset({"z"})) == history[:1]
    assert mend(history, frozenset({"b"})) == [history[0], *history[3:]]  # too late: a user has spoken since


def test_of_a_dangling_call_the_text_is_kept() -> None:
    history = [user(1), asks("a", content="Let me see.", name="bot"), user(3)]
    first, mended, last = mend(history)
    assert (first, last) == (history[0], history[2])
    assert sent(mended) == {"role": "assistant", "content": "Let me see.", "name": "bot"}
    assert mended.calls == ()


def test_answers_without_a_call_are_left_out() -> None:
    history = [tells("z"), user(1), tells("z"), asks("a"), tells("a"), tells("a"), tells(None), says(), tells("a")]
    assert mend(history) == [history[1], history[3], history[4], history[7]]
