"""Windows: whole exchanges, newest first, within both limits; and no history that a provider would refuse."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ContextLengthExceeded
from gateway.history.exchanges import Exchange, Remembered, group
from gateway.history.mending import mend
from gateway.history.window import Window, fit
from gateway.wire.json import parse_array

SYSTEM = b'{"role":"system","content":"Be brief."}'
NEW = b'{"role":"user","content":"And now?"}'
RESULT = b'{"role":"tool","tool_call_id":"a","content":"42"}'


def message(
    seq: int, role: str, tokens: int = 10, calls: tuple[str, ...] = (), answers: str | None = None
) -> Remembered:
    wire: dict[str, Any] = {"role": role, "content": f"message {seq}" if not calls else None}
    if calls:
        wire["tool_calls"] = [{"id": name, "type": "function"} for name in calls]
    if answers is not None:
        wire["tool_call_id"] = answers
    return Remembered(seq, role, orjson.dumps(wire), tokens, "o200k_base", calls, answers)


def talk(turns: int, tokens: int = 10) -> list[Remembered]:
    roles = ["user", "assistant"] * turns
    return [message(seq, role, tokens) for seq, role in enumerate(roles, 1)]


def fitted(
    history: list[Remembered], *, max_messages: int = 100, budget: int = 10_000, answers: frozenset[str] = frozenset()
) -> Window:
    """The window of these messages, with its fragments taken apart again."""
    new = [RESULT] if answers else [NEW]
    _, exchanges = group(history)
    window = fit(
        instructions=[SYSTEM], history=exchanges, new=new, answers=answers, max_messages=max_messages, budget=budget
    )
    apart = tuple(orjson.dumps(each) for each in parse_array(window.messages))
    assert b",".join(apart) == b",".join(window.messages)
    return replace(window, messages=apart)


def bodies(messages: list[Remembered]) -> tuple[bytes, ...]:
    return tuple(item.body for item in messages)


def test_instructions_come_first_and_the_new_messages_last() -> None:
    history = talk(2)
    assert fitted(history) == Window((SYSTEM, *bodies(history), NEW), 4, 40)


@pytest.mark.parametrize(("max_messages", "taken"), [(0, 0), (1, 0), (2, 2), (3, 2), (4, 4), (6, 6), (99, 6)])
def test_as_many_whole_exchanges_as_the_count_allows(max_messages: int, taken: int) -> None:
    history = talk(3)
    window = fitted(history, max_messages=max_messages)
    assert window == Window((SYSTEM, *bodies(history[len(history) - taken :]), NEW), taken, taken * 10)


@pytest.mark.parametrize(("budget", "taken"), [(-5, 0), (0, 0), (19, 0), (20, 2), (39, 2), (40, 4), (60, 6)])
def test_as_many_whole_exchanges_as_the_budget_allows(budget: int, taken: int) -> None:
    window = fitted(talk(3), budget=budget)
    assert (window.history_messages, window.history_tokens) == (taken, taken * 10)


def test_an_exchange_that_does_not_fit_ends_the_window_even_if_an_older_one_would() -> None:
    history = [*talk(1), message(3, "user", 500), message(4, "assistant"), message(5, "user"), message(6, "assistant")]
    assert fitted(history, budget=100).messages == (SYSTEM, *bodies(history[4:]), NEW)


def test_each_exchange_is_one_fragment() -> None:
    history = [*talk(1), message(3, "user"), message(4, "assistant", calls=("a",)), message(5, "tool", answers="a")]
    window = fit(
        instructions=[SYSTEM], history=group(history)[1], new=[NEW], answers=frozenset(), max_messages=9, budget=99
    )
    assert window.messages == (SYSTEM, b",".join(bodies(history[:2])), b",".join(bodies(history[2:])), NEW)


def test_messages_before_the_first_user_are_not_injected() -> None:
    history = [message(1, "assistant"), *talk(1)]
    assert fitted(history).messages == (SYSTEM, *bodies(history[1:]), NEW)


# ── tool results in the new request ──────────────────────────────────────────────────────────────────────────────

CALLING = [*talk(1), message(3, "user"), message(4, "assistant", calls=("a",))]


def test_the_exchange_that_tool_results_answer_is_in_whatever_the_count() -> None:
    window = fitted(CALLING, max_messages=0, answers=frozenset({"a"}))
    assert window == Window((SYSTEM, *bodies(CALLING[2:]), RESULT), 2, 20)
    assert fitted(CALLING, max_messages=4, answers=frozenset({"a"})).history_messages == 4


def test_an_exchange_that_tool_results_answer_must_fit_the_budget() -> None:
    assert fitted(CALLING, budget=20, answers=frozenset({"a"})).history_messages == 2
    with pytest.raises(ContextLengthExceeded, match=r"exchange of 20 tokens.*room for 19 tokens") as caught:
        fitted(CALLING, budget=19, answers=frozenset({"a"}))
    assert caught.value.param == "messages"
    with pytest.raises(ContextLengthExceeded, match="room for 0 tokens"):
        fitted(CALLING, budget=-3, answers=frozenset({"a"}))


def test_tool_results_that_answer_nothing_are_left_to_the_provider() -> None:
    assert fitted([], answers=frozenset({"a"})) == Window((SYSTEM, RESULT), 0, 0)


def test_calls_that_nobody_answers_are_not_sent_and_not_counted() -> None:
    assert fitted(CALLING) == Window((SYSTEM, *bodies(CALLING[:3]), NEW), 3, 30)
    assert fitted(CALLING, max_messages=3).history_messages == 3


def test_only_what_is_taken_is_looked_at() -> None:
    class Counting(list[Exchange]):
        looked = 0

        def __reversed__(self) -> Iterator[Exchange]:
            for exchange in super().__reversed__():
                Counting.looked += 1
                yield exchange

    history = Counting(group(talk(10_000))[1])
    fit(instructions=[], history=history, new=[NEW], answers=frozenset(), max_messages=20, budget=10_000)
    assert Counting.looked == 11


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────

_tokens = st.integers(1, 60)
_ids = st.sampled_from("abc")
_messages = st.one_of(
    st.builds(lambda tokens: message(0, "user", tokens), _tokens),
    st.builds(lambda tokens: message(0, "assistant", tokens), _tokens),
    st.builds(
        lambda tokens, calls: message(0, "assistant", tokens, calls=tuple(calls)), _tokens, st.sets(_ids, min_size=1)
    ),
    st.builds(lambda tokens, answers: message(0, "tool", tokens, answers=answers), _tokens, _ids),
)
any_history = st.lists(_messages, max_size=25).map(
    lambda messages: [item._replace(seq=seq) for seq, item in enumerate(messages, 1)]
)


@st.composite
def whole_histories(draw: st.DrawFn) -> list[Remembered]:
    """Histories as a well-behaved client leaves them."""
    history: list[Remembered] = []
    for _ in range(draw(st.integers(0, 5))):
        history.append(message(0, "user", draw(_tokens)))
        for _ in range(draw(st.integers(0, 2))):
            calls = tuple(sorted(draw(st.sets(_ids, min_size=1))))
            history.append(message(0, "assistant", draw(_tokens), calls=calls))
            history += [message(0, "tool", draw(_tokens), answers=name) for name in draw(st.permutations(calls))]
        history.append(message(0, "assistant", draw(_tokens)))
    return [item._replace(seq=seq) for seq, item in enumerate(history, 1)]


any_count, any_budget = st.integers(0, 30), st.integers(-50, 800)


@given(whole_histories(), any_count, any_budget)
def test_a_window_holds_the_longest_run_of_newest_exchanges_within_both_limits(
    history: list[Remembered], max_messages: int, budget: int
) -> None:
    window = fitted(history, max_messages=max_messages, budget=budget)
    count = window.history_messages
    suffix = history[len(history) - count :]
    assert window.messages == (SYSTEM, *bodies(suffix), NEW)
    assert window.history_tokens == sum(item.tokens for item in suffix)
    assert count <= max_messages
    assert window.history_tokens <= max(0, budget)
    assert not suffix or suffix[0].role == "user"
    if older := group(history[: len(history) - count])[1]:
        newest = older[-1]
        assert count + newest.count > max_messages or window.history_tokens + newest.tokens > budget


@given(any_history, any_count, any_budget)
def test_no_window_parts_a_call_from_its_answers(history: list[Remembered], max_messages: int, budget: int) -> None:
    window = fitted(history, max_messages=max_messages, budget=budget)
    assert_acceptable(window.messages[1:])
    assert window.history_messages == len(window.messages) - 2 <= max_messages
    assert window.history_tokens <= max(0, budget)


@given(any_history, st.sets(_ids, min_size=1).map(frozenset))
def test_a_required_exchange_is_in(history: list[Remembered], answers: frozenset[str]) -> None:
    window = fitted(history, max_messages=0, answers=answers)
    exchanges = in_exchanges(history)
    assert window.history_messages == (len(mend(exchanges[-1], answers)) if exchanges else 0)


@given(any_history, any_count, any_budget, st.just(frozenset[str]()) | st.sets(_ids, min_size=1).map(frozenset))
def test_a_window_is_what_its_description_says(
    history: list[Remembered], max_messages: int, budget: int, answers: frozenset[str]
) -> None:
    """Message by message, with nothing grouped, joined or left out beforehand."""
    taken: list[Remembered] = []
    for index, exchange in enumerate(reversed(in_exchanges(history))):
        required = answers if index == 0 else frozenset()
        wider = [*mend(exchange, required), *taken]
        if required and tokens_of(wider) > budget:
            with pytest.raises(ContextLengthExceeded):
                fitted(history, max_messages=max_messages, budget=budget, answers=answers)
            return
        if not required and (len(wider) > max_messages or tokens_of(wider) > budget):
            break
        taken = wider
    window = fitted(history, max_messages=max_messages, budget=budget, answers=answers)
    new = RESULT if answers else NEW
    assert window == Window((SYSTEM, *bodies(taken), new), len(taken), tokens_of(taken))


@given(whole_histories())
def test_mending_a_whole_history_changes_nothing(history: list[Remembered]) -> None:
    assert mend(history) is history


@given(any_history)
def test_mending_is_finished_at_once_and_keeps_order_and_users(history: list[Remembered]) -> None:
    mended = mend(history)
    assert mend(mended) is mended
    assert_acceptable(bodies(list(mended)))
    assert [item.seq for item in mended] == sorted(item.seq for item in mended)
    assert [item for item in mended if item.role == "user"] == [item for item in history if item.role == "user"]


def in_exchanges(history: list[Remembered]) -> list[list[Remembered]]:
    exchanges: list[list[Remembered]] = []
    for item in history:
        if item.role == "user":
            exchanges.append([item])
        elif exchanges:
            exchanges[-1].append(item)
    return exchanges


def tokens_of(messages: Sequence[Remembered]) -> int:
    return sum(item.tokens for item in messages)


def assert_acceptable(messages: tuple[bytes, ...]) -> None:
    """OpenAI's rule: the messages right after a call answer it, each id once, and no other message answers anything."""
    pending: set[str] = set()
    for body in messages:
        wire = orjson.loads(body)
        if wire["role"] == "tool":
            pending.remove(wire["tool_call_id"])
        else:
            assert not pending
            pending = {call["id"] for call in wire.get("tool_calls", ())}
    assert not pending
