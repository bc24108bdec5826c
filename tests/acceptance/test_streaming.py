"""Streams: passed on as they come, stored once they end, and never said to be whole when they are not."""

from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.acceptance.conversation import (
    Person,
    assistant,
    beginning,
    payloads,
    says,
    sent,
    streamed,
    text_of,
    user,
)
from tests.stubs.openai_wire import (
    USAGE,
    Events,
    Gate,
    Json,
    OpenAIStub,
    chunk,
    chunks,
    error,
    usage_chunk,
)

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}


def arguments(piece: str) -> dict[str, Any]:
    """A delta that adds to the arguments of the first tool call."""
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


# ── streams that end well ────────────────────────────────────────────────────────────────────────────────────────


def test_a_streamed_reply_is_remembered(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(Events(chunks("Hel", "lo, ", "Ada.")), says("Ada."))

    assert text_of(person.stream(session, "My name is Ada.")) == "Hello, Ada."
    person.say(session, "Who am I?")

    assert sent(stub)[1] == [user("My name is Ada."), streamed("Hello, Ada."), user("Who am I?")]
    reply = person.stored(session)[1]
    assert (reply["content"], reply["status"], reply["model"]) == ("Hello, Ada.", "complete", "fast")
    assert 0 < reply["ttft_ms"] <= reply["latency_ms"]


def test_usage_is_asked_of_the_provider_and_passed_on_only_if_asked_for(stub: OpenAIStub, person: Person) -> None:
    reply = list(person.stream(None, "Hello?"))

    assert all(chunk.choices and chunk.usage is None for chunk in reply)
    assert stub.requests[0].body["stream_options"] == {"include_usage": True}


def test_usage_that_was_asked_for_comes_last(stub: OpenAIStub, person: Person) -> None:
    *others, last = person.stream(None, "Hello?", stream_options={"include_usage": True})

    assert all(chunk.choices and chunk.usage is None for chunk in others)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.to_dict() == USAGE
    assert len(stub.requests) == 1


def test_the_stream_helper_adds_up_a_reply(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(Events(chunks("Hel", "lo.")))

    with person.sdk.chat.completions.stream(
        model="fast", messages=[{"role": "user", "content": "Hello?"}], extra_body={"session_id": session}
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta" and event.delta]
        final = stream.get_final_completion()

    assert deltas == ["Hel", "lo."]
    assert final.choices[0].message.content == person.stored(session)[1]["content"] == "Hello."


def test_the_stream_helper_adds_up_tool_calls(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    second = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    deltas = [{"tool_calls": [CALL]}, arguments('{ "in":'), arguments(' "Oslo"}'), {"tool_calls": [second]}]
    stub.reply_with(Events(chunks(*deltas, finish_reason="tool_calls")))

    with person.sdk.chat.completions.stream(
        model="fast",
        messages=[{"role": "user", "content": "Weather?"}],
        tools=[WEATHER],  # type: ignore[list-item]  # a dict that is not spelt out as its TypedDict
        extra_body={"session_id": session},
    ) as stream:
        message = stream.get_final_completion().choices[0].message

    assert message.tool_calls is not None
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
    assert calls == [("call_1", "weather", '{ "in": "Oslo"}'), ("call_2", "time", "{}")]
    assert person.stored(session)[1]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{ "in": "Oslo"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]


def test_the_head_of_a_stream_carries_the_headers(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    person.say(session, "My name is Ada.")
    stub.reply_with(Events(chunks("Ada."), headers={"x-ratelimit-remaining-requests": "41"}))

    response = person.http.post("/v1/chat/completions", json=person.body(session, "Who am I?", stream=True))

    assert response.headers["x-session-id"] == session
    assert response.headers["x-history-messages"] == "2"
    assert int(response.headers["x-history-tokens"]) > 0
    assert response.headers["x-history-trimmed"] == "0"
    assert float(response.headers["x-gateway-overhead-ms"]) > 0
    assert response.headers["x-ratelimit-remaining-requests"] == "41"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_a_stream_is_data_lines_and_ends_with_done(stub: OpenAIStub, person: Person, options: dict[str, Any]) -> None:
    expected = chunks("Hel", "lo.", usage=USAGE if options else None)
    noise = [b": keep-alive\n\n", b"event: message\nid: 7\nretry: 10\n"]
    stub.reply_with(Events([noise[0], *chunks("Hel", usage=None, finish_reason=None), *noise, *chunks("lo.")[1:]]))

    body = person.stream_bytes(None, "Hello?", **options)

    assert payloads(body) == [*expected, "[DONE]"]
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_slow_stream_arrives_as_it_comes(stub: OpenAIStub, person: Person) -> None:
    gates = [Gate(), Gate()]
    stub.reply_with(
        Events([*beginning("One"), gates[0], chunk({"content": " two"}), gates[1], chunk({}, finish_reason="stop")])
    )

    stream = person.stream(person.new_session(), "Count.")
    for gate, expected in zip(gates, ("One", " two"), strict=True):
        assert gate.wait_reached()
        assert _next_text(stream) == expected
        gate.open()
    assert [chunk.choices[0].finish_reason for chunk in stream] == ["stop"]


def test_the_first_of_several_streamed_choices_is_kept(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    events = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": ""}, index=1),
        chunk({"content": "second"}, index=1),
        chunk({"content": "first"}),
        chunk({}, finish_reason="stop", index=1),
        chunk({}, finish_reason="stop"),
        usage_chunk(),
    ]
    stub.reply_with(Events(events))

    reply = list(person.stream(session, "Say one thing or another.", n=2))
    person.say(session, "Which?")

    assert [chunk.choices[0].index for chunk in reply] == [0, 1, 1, 0, 1, 0]
    assert stub.requests[0].body["n"] == 2
    assert sent(stub)[1][1] == {"role": "assistant", "content": "first"}


def test_a_reply_that_ran_out_of_tokens_is_complete(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(Events(chunks("Once upon a", finish_reason="length")))

    reply = list(person.stream(session, "A story.", max_tokens=3))

    assert reply[-1].choices[0].finish_reason == "length"
    assert person.statuses(session) == [("user", "complete"), ("assistant", "complete")]


def test_a_streamed_refusal_is_remembered(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(Events(chunks({"refusal": "I can"}, {"refusal": "not."})))

    assert len(list(person.stream(session, "Do it."))) > 2
    person.say(session, "Why?")

    assert sent(stub)[1] == [user("Do it."), streamed("", refusal="I cannot."), user("Why?")]


def test_a_stream_without_done_but_with_a_finish_reason_is_whole(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(Events(chunks("Hello."), ending="eof"))

    assert payloads(person.stream_bytes(session, "Hello?"))[-1] == "[DONE]"
    assert person.statuses(session) == [("user", "complete"), ("assistant", "complete")]


# ── streams that do not ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_that_is_cut_ends_in_an_error(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    gate = Gate()
    stub.reply_with(Events([*beginning("Half an "), gate], ending="cut"))

    stream = person.stream(session, "Talk.")
    assert _next_text(stream) == "Half an "
    gate.open()
    with pytest.raises(openai.APIError) as broken:
        list(stream)
    person.say(session, "Go on.")

    assert broken.value.code == "provider_unavailable"
    assert person.statuses(session)[:2] == [("user", "incomplete"), ("assistant", "incomplete")]
    assert sent(stub)[1] == [user("Talk."), streamed("Half an "), user("Go on.")]


@pytest.mark.parametrize("ending", ["eof", "done"])
def test_a_stream_without_a_finish_reason_ends_in_an_error(stub: OpenAIStub, person: Person, ending: Any) -> None:
    session = person.new_session()
    stub.reply_with(Events(chunks("Half an ", finish_reason=None, usage=None), ending=ending))

    *others, last = payloads(person.stream_bytes(session, "Talk."))
    person.say(session, "Go on.")

    assert "[DONE]" not in others
    assert last["error"]["code"] == "provider_unavailable"
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert person.statuses(session)[:2] == [("user", "incomplete"), ("assistant", "incomplete")]
    assert sent(stub)[1] == [user("Talk."), streamed("Half an "), user("Go on.")]


def test_an_error_inside_a_stream_is_passed_on(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    overloaded = error("Too busy.", kind="server_error", code="overloaded")
    stub.reply_with(Events([*beginning("Half an "), overloaded]))

    *others, last = payloads(person.stream_bytes(session, "Talk."))

    assert last == overloaded
    assert "[DONE]" not in others
    assert person.statuses(session) == [("user", "incomplete"), ("assistant", "incomplete")]


def test_an_error_before_the_stream_is_a_status(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    busy = Json(error("Slow down.", code="rate_limit_exceeded"), status=429, headers={"retry-after": "7"})
    stub.reply_with(busy)

    with pytest.raises(openai.RateLimitError) as refused:
        person.stream(session, "Talk.")
    person.say(session, "Now?")

    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.response.headers["retry-after"] == "7"
    assert person.statuses(session)[0] == ("user", "failed")
    assert sent(stub)[1] == [user("Now?")]


def test_a_stream_that_ends_before_it_began_is_a_status_and_leaves_nothing(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(Events([], ending="eof"))

    with pytest.raises(openai.InternalServerError) as broken:
        person.stream(session, "Talk.")
    person.say(session, "Now?")

    assert (broken.value.status_code, broken.value.code) == (502, "provider_unavailable")
    assert person.statuses(session)[0] == ("user", "failed")
    assert sent(stub)[1] == [user("Now?")]


def test_half_a_tool_call_is_not_sent_back(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    events = chunks("Let me see.", {"tool_calls": [CALL]}, arguments('{"in": "Os'), finish_reason=None, usage=None)
    stub.reply_with(Events(events, ending="eof"))

    assert "error" in payloads(person.stream_bytes(session, "Weather?", tools=[WEATHER]))[-1]
    person.say(session, "Well?")

    assert sent(stub)[1] == [user("Weather?"), streamed("Let me see."), user("Well?")]
    assert person.stored(session)[1]["tool_calls"][0]["function"]["arguments"] == '{"in": "Os'


def test_a_cut_reply_of_nothing_but_half_a_tool_call_is_left_out(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    events = chunks({"tool_calls": [CALL]}, arguments('{"in": "Os'), finish_reason=None, usage=None)
    stub.reply_with(Events(events, ending="eof"), says("Rain."))

    person.stream_bytes(session, "Weather?", tools=[WEATHER])
    person.say(session, "Well?")
    person.say(session, "Thanks.")

    assert sent(stub)[1] == [user("Weather?"), user("Well?")]
    assert sent(stub)[2] == [user("Weather?"), user("Well?"), assistant("Rain."), user("Thanks.")]


def test_a_stream_of_no_json_ends_in_an_error(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(Events([*beginning("Half an "), b"data: {not json\n\n"]))

    *_, last = payloads(person.stream_bytes(session, "Talk."))

    assert last["error"]["code"] == "provider_unavailable"
    assert person.statuses(session) == [("user", "incomplete"), ("assistant", "incomplete")]


def test_the_echo_model_streams_too(person: Person) -> None:
    session = person.new_session(model="echo")
    person.say(session, "My name is Ada.", model="echo")

    with person.http.stream(
        "POST", "/v1/chat/completions", json={"session_id": session, "stream": True, "messages": [user("And I?")]}
    ) as response:
        found = [ChatCompletionChunk.model_validate(payload) for payload in payloads(_read(response))[:-1]]

    assert '"My name is Ada."' in text_of(found)


def _next_text(stream: openai.Stream[ChatCompletionChunk]) -> str:
    """The next piece of text that is not empty."""
    return next(text for chunk in stream if (text := chunk.choices[0].delta.content))


def _read(response: httpx.Response) -> bytes:
    return response.read()
