import importlib
import sys
from collections.abc import Iterator
from functools import reduce

import pytest

from bench import BenchFailed
from bench.sampled import RULES, Step, calls_of, step_of
from bench.steps import KERNEL, OTHERS, WRITER, Cost, Snapshot, costs, table
from bench.wrk import WrkReport

WRITER_THREAD, READER_THREAD = "Thread-2 (_connection_worker_thread)", "Thread-3 (_connection_worker_thread)"
SERVICE = ("gateway.turns.service", "TurnService._run")


@pytest.mark.parametrize(
    ("calls", "step"),
    [
        ([("gateway.turns.service", "TurnService._open"), SERVICE], Step.CLAIM),
        ([("gateway.tokens.counter", "TokenCounter.messages"), ("gateway.turns.closing", "Closer.close")], Step.COUNT),
        ([("gateway.storage.sqlite.rows", "message_row"), ("gateway.turns.closing", "Closer.close")], Step.CLOSE),
        ([("gateway.storage.sqlite.lane", "Lane.run"), ("gateway.turns.opening", "Opener._ask_store")], Step.OPEN),
        ([("gateway.wire.json", "dump"), ("gateway.providers.direct", "DirectProvider.complete")], Step.CALL),
        ([("httptools", "feed"), ("gateway.providers.connection", "Connection.data_received"), SERVICE], Step.CALL),
        ([("gateway.api.middleware", "RequestLog.__call__.<locals>.send_with_id")], Step.HTTP),
        ([("gateway.api.middleware", "RequestLog.__call__")], Step.LOG),
        ([("starlettes", "f"), ("uvicorn.server", "Server.run")], Step.LOOP),
        ([], Step.LOOP),
    ],
)
def test_a_tick_is_charged_to_the_innermost_call_of_a_step(calls: list[tuple[str, str]], step: Step) -> None:
    assert step_of(calls) is step


def test_a_function_that_has_not_begun_is_not_charged() -> None:
    def names(frame_of: Iterator[tuple[str, str]]) -> list[str]:
        return [function.rpartition(".")[2] for _, function in frame_of]

    def before_its_first_line() -> list[str]: return names(calls_of(sys._getframe()))  # fmt: skip

    def on_its_way() -> list[str]:
        return names(calls_of(sys._getframe()))

    here = "test_a_function_that_has_not_begun_is_not_charged"
    assert before_its_first_line()[0] == here
    assert on_its_way()[:2] == ["on_its_way", here]


@pytest.mark.parametrize(("module", "function"), [rule[:2] for rule in RULES])
def test_every_rule_names_something_that_there_is(module: str, function: str) -> None:
    path = [name for name in function.partition(".<locals>")[0].split(".") if name]
    assert reduce(getattr, path, importlib.import_module(module)) is not None


def test_costs_are_what_was_spent_in_between() -> None:
    before = Snapshot({Step.HTTP: 5}, user=1.0, system=0.5, threads={WRITER_THREAD: 0.25})
    after = Snapshot(
        {Step.HTTP: 8, Step.CALL: 1},
        user=1.4,
        system=0.7,
        threads={WRITER_THREAD: 0.55, READER_THREAD: 0.1, "asyncio_0": 0.1},
    )
    found = {cost.what: pytest.approx(cost.us) for cost in costs(before, after, 1000) if cost.us}
    assert found == {Step.HTTP: 300.0, Step.CALL: 100.0, KERNEL: 200.0, WRITER: 300.0, OTHERS: 200.0}


def test_a_run_without_a_tick_is_no_measurement() -> None:
    snapshot = Snapshot({}, user=1.0, system=0.5, threads={})
    with pytest.raises(BenchFailed, match="not ticked"):
        costs(snapshot, snapshot, 1)


def test_a_table_ends_with_the_sum() -> None:
    shown = table("stream", WrkReport(6000, 600.4, 1.0, 2.0), [Cost("a", 30.0), Cost("b", 90.0)])
    assert shown.title == "stream: 600 requests/s while sampled, 6,000 turns"
    assert shown.rows == [("a", "25.0 %", "30.0 µs"), ("b", "75.0 %", "90.0 µs"), ("all", "100.0 %", "120.0 µs")]
