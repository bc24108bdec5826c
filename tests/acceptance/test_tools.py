"""Tools over turns: a call and its results are one exchange, whoever asks for them and whatever comes between."""

from typing import Any

import openai
import pytest

from tests.acceptance.conversation import Message, Person, assistant, says, sent, streamed, text_of, tool, user
from tests.stubs.openai_wire import Events, Json, OpenAIStub, chunks, error, tool_call

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
OSLO = tool_call("weather", '{"city": "Oslo"}', call_id="call_oslo")
ROME = tool_call("weather", '{"city": "Rome"}', call_id="call_rome")
PARALLEL = [OSLO, ROME]


def calls(*made: Message, text: str | None = None) -> Message:
    """The stub's reply with these tool calls."""
    return assistant(text, tool_calls=list(made))


def test_a_call_its_result_and_the_answer(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says(tool_calls=[OSLO]), says("It rains."))

    asked = person.say(session, "Weather in Oslo?", tools=[WEATHER])
    answered = person.say(session, tool("call_oslo", "rain, 7 °C"), tools=[WEATHER])
    person.say(session, "Thanks.", tools=[WEATHER])

    made = asked.choices[0].message.tool_calls
    assert made is not None
    assert [call.to_dict() for call in made] == [OSLO]
    assert answered.choices[0].message.content == "It rains."
    exchange = [user("Weather in Oslo?"), calls(OSLO), tool("call_oslo", "rain, 7 °C"), assistant("It rains.")]
    assert sent(stub) == [exchange[:1], exchange[:3], [*exchange, user("Thanks.")]]


def test_a_streamed_call_its_result_and_the_answer(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    head = {"index": 0, "id": "call_oslo", "type": "function", "function": {"name": "weather", "arguments": ""}}
    deltas: list[Message] = [
        {"tool_calls": [head]},
        *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ('{"city": ', '"Oslo"}')),
    ]
    stub.reply_with(Events(chunks(*deltas, finish_reason="tool_calls")), Events(chunks("It ", "rains.")))

    list(person.stream(session, "Weather in Oslo?", tools=[WEATHER]))
    text = text_of(person.stream(session, tool("call_oslo", "rain"), tools=[WEATHER]))
    person.say(session, "Thanks.")

    assert text == "It rains."
    exchange = [
        user("Weather in Oslo?"),
        streamed("", tool_calls=[OSLO]),
        tool("call_oslo", "rain"),
        streamed("It rains."),
    ]
    assert sent(stub)[1:] == [exchange[:3], [*exchange, user("Thanks.")]]


def test_parallel_calls(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says(tool_calls=PARALLEL), says("Rain and sun."))

    person.say(session, "Weather in Oslo and Rome?", tools=[WEATHER], parallel_tool_calls=True)
    person.say(session, tool("call_rome", "sun"), tool("call_oslo", "rain"), tools=[WEATHER])
    person.say(session, "Thanks.")

    results = [tool("call_rome", "sun"), tool("call_oslo", "rain")]
    exchange = [user("Weather in Oslo and Rome?"), calls(*PARALLEL), *results, assistant("Rain and sun.")]
    assert sent(stub)[1:] == [exchange[:4], [*exchange, user("Thanks.")]]


def test_an_exchange_of_many_steps_stays_whole_while_it_is_answered(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session(max_history_messages=2)
    steps = [tool_call("step", str(number), call_id=f"call_{number}") for number in range(4)]
    stub.reply_with(says("Hello."), *[says(tool_calls=[step]) for step in steps], says("Done."), says("Bye."))

    person.say(session, "Hello?")
    person.say(session, "Take four steps.", tools=[WEATHER])
    for number in range(4):
        person.say(session, tool(f"call_{number}", "ok"), tools=[WEATHER])
    person.say(session, "Thanks.")

    exchange = [user("Take four steps.")]
    for number, step in enumerate(steps):
        exchange += [calls(step), tool(f"call_{number}", "ok")]
        assert sent(stub)[number + 2] == exchange
    assert sent(stub)[-1] == [user("Thanks.")]  # ten messages are more than two, and none goes without the others


def test_a_dangling_call_is_mended(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says("One moment.", tool_calls=[OSLO]), says("Four."))

    person.say(session, "Weather in Oslo?", tools=[WEATHER])
    person.say(session, "Never mind. What is 2 + 2?", tools=[WEATHER])
    person.say(session, "Thanks.")

    mended = [user("Weather in Oslo?"), assistant("One moment.")]
    assert sent(stub)[1] == [*mended, user("Never mind. What is 2 + 2?")]
    assert sent(stub)[2][:2] == mended
    assert person.stored(session)[1]["tool_calls"] == [OSLO]


def test_a_dangling_call_without_a_text_is_left_out(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says(tool_calls=PARALLEL), says("Four."))

    person.say(session, "Weather in Oslo and Rome?", tools=[WEATHER])
    person.say(session, "Never mind. What is 2 + 2?", tools=[WEATHER])

    assert sent(stub)[1] == [user("Weather in Oslo and Rome?"), user("Never mind. What is 2 + 2?")]


def test_results_can_be_sent_again_after_a_failure(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says(tool_calls=[OSLO]), Json(error("down"), status=503), says("It rains."))

    person.say(session, "Weather in Oslo?", tools=[WEATHER])
    with pytest.raises(openai.InternalServerError):
        person.say(session, tool("call_oslo", "rain"), tools=[WEATHER])
    person.say(session, tool("call_oslo", "rain"), tools=[WEATHER])

    assert sent(stub)[2] == [user("Weather in Oslo?"), calls(OSLO), tool("call_oslo", "rain")]


def test_results_and_the_next_question_in_one_request(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says(tool_calls=[OSLO]), says("Rain. Take a coat."))

    person.say(session, "Weather in Oslo?", tools=[WEATHER])
    person.say(session, tool("call_oslo", "rain"), "What shall I wear?", tools=[WEATHER])
    person.say(session, "Thanks.")

    first = [user("Weather in Oslo?"), calls(OSLO), tool("call_oslo", "rain")]
    second = [user("What shall I wear?"), assistant("Rain. Take a coat.")]
    assert sent(stub)[1:] == [[*first, second[0]], [*first, *second, user("Thanks.")]]
