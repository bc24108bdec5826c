"""Our own counts: the same as counting anew, and texts that come again are counted once."""

from typing import Any

import orjson

from gateway.tokens.counter import TokenCounter
from gateway.turns.estimate import Estimator
from gateway.wire.chat import NewChatMessage

ENCODING = "o200k_base"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


class CountingCounter(TokenCounter):
    def __init__(self) -> None:
        super().__init__()
        self.counted: list[Any] = []

    def message(self, message: Any, encoding: str) -> int:
        self.counted.append(message)
        return super().message(message, encoding)

    def call(self, params: Any, encoding: str) -> int:
        self.counted.append(params)
        return super().call(params, encoding)


def body(content: str) -> bytes:
    return orjson.dumps({"role": "system", "content": content})


async def test_instructions_are_counted_once_and_as_the_counter_counts_them() -> None:
    counter = CountingCounter()
    estimator = Estimator(counter)
    bodies = [body("Be brief."), body("Be kind.")]
    first = await estimator.bodies(bodies, ENCODING)
    again = await estimator.bodies(bodies, ENCODING)
    assert first == again == sum(TokenCounter().message(orjson.loads(each), ENCODING) for each in bodies)
    assert counter.counted == [orjson.loads(each) for each in bodies]


async def test_instructions_are_counted_anew_in_another_encoding() -> None:
    counter = CountingCounter()
    estimator = Estimator(counter)
    await estimator.bodies([body("Be brief.")], ENCODING)
    await estimator.bodies([body("Be brief.")], "cl100k_base")
    assert len(counter.counted) == 2


async def test_long_instructions_are_counted_alike() -> None:
    estimator = Estimator(TokenCounter())
    long = body("word " * 10_000)
    expected, brief = (TokenCounter().message(orjson.loads(each), ENCODING) for each in (long, body("Be brief.")))
    assert await estimator.bodies([long, body("Be brief.")], ENCODING) == expected + brief


async def test_tools_are_counted_once_whatever_else_the_call_asks_for() -> None:
    counter = CountingCounter()
    estimator = Estimator(counter)
    first = await estimator.call({"tools": TOOLS, "temperature": 0}, ENCODING)
    again = await estimator.call({"tools": TOOLS, "temperature": 1}, ENCODING)
    assert first == again == TokenCounter().call({"tools": TOOLS}, ENCODING)
    assert counter.counted == [{"tools": TOOLS}]


async def test_a_plain_call_costs_its_priming() -> None:
    assert await Estimator(TokenCounter()).call({"temperature": 0}, ENCODING) == TokenCounter().call({}, ENCODING)


async def test_messages_are_counted_each() -> None:
    data = {"role": "user", "content": "Hello there."}
    message = NewChatMessage("user", data, orjson.dumps(data))
    expected = TokenCounter().message(data, ENCODING)
    estimator = Estimator(TokenCounter())
    assert await estimator.messages([message, message], ENCODING) == [expected, expected]
    assert await estimator.message(data, ENCODING) == expected
