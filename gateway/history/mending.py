"""Tool calls without their answers, and answers without their calls, taken out of a history.

Invariant: in what comes out of `mend` every tool call is answered, each once, by the tool messages right after it (or
by the new request), and every tool message answers such a call. Providers refuse anything else, and would refuse it
again with every later turn of the session.
"""

from collections.abc import Iterator, Sequence, Set

from gateway.history.exchanges import Remembered, without_calls


def mend(messages: Sequence[Remembered], answered: frozenset[str] = frozenset()) -> Sequence[Remembered]:
    """Take out tool calls that lack an answer, and tool messages that lack a call.

    A call is answered by the tool messages right after it or, at the end of the history, by the new request, which
    answers the ids in `answered`. A message whose calls are not all answered is sent without them if it has a text,
    and left out otherwise; the answers that it did get go with its calls. The very same sequence, uncopied and
    unparsed, if there is nothing to take out.
    """
    if _is_whole(messages, answered):
        return messages
    mended: list[Remembered] = []
    for run, is_last in _tool_runs(messages):
        mended.extend(_mend_run(run, answered if is_last else frozenset()))
    return mended


def _is_whole(messages: Sequence[Remembered], answered: frozenset[str]) -> bool:
    pending: set[str] = set()
    for message in messages:
        if message.role == "tool":
            if message.answers not in pending:
                return False
            pending.remove(message.answers)
        elif pending:
            return False
        elif message.calls:
            pending.update(message.calls)
    return _is_answered(pending, answered)


def _tool_runs(messages: Sequence[Remembered]) -> Iterator[tuple[Sequence[Remembered], bool]]:
    """Each message that is not a tool's with the tool messages right after it, and whether it is the last such run."""
    end = 0
    while end < len(messages):
        start = end
        end += 1
        while end < len(messages) and messages[end].role == "tool":
            end += 1
        yield messages[start:end], end == len(messages)


def _mend_run(run: Sequence[Remembered], answered: frozenset[str]) -> list[Remembered]:
    first, *tools = run
    if first.role == "tool":
        return []  # only at the start of a history, where the call itself is not in it
    pending = set(first.calls)
    answers = []
    for message in tools:
        if message.answers in pending:
            pending.remove(message.answers)
            answers.append(message)
    if _is_answered(pending, answered):
        return [first, *answers]
    silenced = without_calls(first)
    return [] if silenced is None else [silenced]


def _is_answered(pending: Set[str], answered: frozenset[str]) -> bool:
    """True too if the new request answers some calls and forgets others: the provider's error then names those."""
    return not pending or not pending.isdisjoint(answered)
