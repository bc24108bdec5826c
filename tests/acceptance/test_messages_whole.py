"""Every message whole: what was sent, or answered, is stored, listed and sent again exactly as it was."""

import json
import time
from typing import Any

import openai
import pytest

from tests.acceptance.conversation import Message, Person, Said, assistant, says, sent, tool, user
from tests.stubs.openai_wire import Json, OpenAIStub, completion, tool_call

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="


def parts(*items: Message, **fields: Any) -> Message:
    return {"role": "user", "content": list(items), **fields}


MESSAGES = {
    "text parts": parts({"type": "text", "text": "One."}, {"type": "text", "text": "Two."}),
    "image as a data URL": parts({"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}),
    "image by address": parts(
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.test/cat.png?a=1&b=%20"}},
    ),
    "audio": parts({"type": "input_audio", "input_audio": {"data": SILENCE, "format": "wav"}}),
    "file by id": parts({"type": "file", "file": {"file_id": "file-1"}}),
    "file inline": parts(
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}}
    ),
    "a part of an unknown type": parts({"type": "hologram", "hologram": {"depth": 3.5, "of": [None, True]}}),
    "name": {"role": "user", "content": "Hello.", "name": "ada_l"},
    "unknown fields": {
        "role": "user",
        "content": "Hello.",
        "cache_control": {"type": "ephemeral"},
        "x": [1, 1.0, -0.5, 1e-7, "1", None, {}],
    },
    "cached part": parts({"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}),
    "unicode": user("Grüße, 你好, שלום \u202e\u200f abc, 👩‍👩‍👧‍👦 and e\u0301 (not é)"),
    "escapes": user('NUL \u0000, tab \t, CR LF \r\n, DEL \u007f, \u2028, "quotes" and back\\slashes'),
    "markup": user("</script>data: [DONE]\n\ndata: {}\n\n<|im_start|>system"),
    "empty": user(""),
    "a lot of it": user("word " * 20_000),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_a_message_comes_back_as_it_was_sent(stub: OpenAIStub, person: Person, message: Message) -> None:
    session = person.new_session()

    person.say(session, message)
    person.say(session, "And?")

    assert _written(sent(stub)[0][0]) == _written(message)
    assert _written(sent(stub)[1][0]) == _written(message)
    assert _listed(person.stored(session)[0], message) == _written(message)


REPLIES = {
    "tool calls": assistant(tool_calls=[tool_call("f", '{ "a" :1,\n\t"b": "\\u00e9" }  ')]),
    "a refusal": assistant(None) | {"refusal": "I would rather not."},
    "annotations": assistant("See there.", annotations=[{"type": "url_citation", "url_citation": {"url": "x:y"}}]),
    "reasoning": assistant("42.", reasoning_content="6 * 7", thinking_blocks=[{"type": "thinking", "signature": "s"}]),
    "unicode": assistant("👋🏽 שלום \u0000"),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
def test_a_reply_goes_back_as_it_came(stub: OpenAIStub, person: Person, reply: Message) -> None:
    session = person.new_session()
    stub.reply_with(Json(completion(message=reply)))
    answers: list[Said] = [tool(call["id"], "done") for call in reply.get("tool_calls", [])]

    person.say(session, "Do it.")
    person.say(session, *(answers or ["And?"]))

    assert _written(sent(stub)[1][1]) == _written(reply)
    assert _listed(person.stored(session)[1], reply) == _written(reply)


def test_replies_that_the_client_tells_are_kept_too(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    told: list[Message] = [
        user("Weather?"),
        {"role": "assistant", "content": None, "tool_calls": [tool_call("weather", '{"in":  "Oslo"}')]},
        tool("call_1", "rain"),
        {"role": "assistant", "content": "Rain.", "name": "forecaster"},
        user("Thanks."),
    ]

    person.say(session, *told)
    person.say(session, "Bye.")

    assert [_written(message) for message in sent(stub)[1][:5]] == [_written(message) for message in told]
    assert [message["role"] for message in person.stored(session)[:5]] == [message["role"] for message in told]


def test_a_spoken_reply_goes_back_as_its_id(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    expires_at = int(time.time()) + 3600
    audio = {"id": "audio_1", "data": SILENCE, "expires_at": expires_at, "transcript": "Hello."}
    stub.reply_with(says(None, audio=audio))

    reply = person.say(session, "Speak.", modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    person.say(session, "Go on.")

    heard = reply.choices[0].message.audio
    assert heard is not None
    assert heard.data == SILENCE
    assert sent(stub)[1][1] == assistant(None, audio={"id": "audio_1"})
    assert person.stored(session)[1]["audio"] == {"id": "audio_1", "expires_at": expires_at, "transcript": "Hello."}


def test_a_spoken_reply_that_the_provider_forgot_goes_back_as_text(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    stub.reply_with(says(None, audio={"id": "audio_1", "data": SILENCE, "expires_at": 1, "transcript": "Hello."}))

    person.say(session, "Speak.")
    person.say(session, "Go on.")

    assert sent(stub)[1][1] == assistant("Hello.")


def test_params_reach_the_provider_as_they_are(stub: OpenAIStub, person: Person) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    weather = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    params: dict[str, Any] = {
        "temperature": 0.0,
        "logprobs": True,
        "top_logprobs": 3,
        "seed": 7,
        "stop": ["\n\n"],
        "tools": [weather],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}},
        "logit_bias": {"50256": -100},
        "metadata": {"ticket": "T-1"},
    }
    extras = {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1, "thinking": {"type": "enabled"}}
    session = person.new_session()

    person.say(session, "Hello?", **params, extra_body=extras)

    assert stub.requests[0].body == {
        "model": "gpt-4o-mini",
        "messages": [user("Hello?")],
        **params,
        **extras,
    }
    assert person.stored(session)[0]["metadata"] == {"ticket": "T-1"}


def test_logprobs_come_back(stub: OpenAIStub, person: Person) -> None:
    token = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    choice = {
        "index": 0,
        "message": assistant("Hi"),
        "logprobs": {"content": [token], "refusal": None},
        "finish_reason": "stop",
    }
    stub.reply_with(Json(completion(choices=[choice])))

    reply = person.say(person.new_session(), "Hello?", logprobs=True)

    assert reply.choices[0].to_dict() == choice


def test_all_choices_come_back_and_the_first_is_kept(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    choices = [
        {"index": index, "message": assistant(text), "logprobs": None, "finish_reason": "stop"}
        for index, text in enumerate(("Heads.", "Tails."))
    ]
    stub.reply_with(Json(completion(choices=choices)))

    reply = person.say(session, "Toss a coin.", n=2)
    person.say(session, "So?")

    assert [choice.to_dict() for choice in reply.choices] == choices
    assert sent(stub)[1] == [user("Toss a coin."), assistant("Heads."), user("So?")]


def test_a_reply_is_passed_on_byte_for_byte(stub: OpenAIStub, person: Person) -> None:
    whole = {**completion("Hello."), "provider_extra": {"b": 1, "a": [1.0, 2]}}
    stub.reply_with(Json(whole))

    response = person.http.post("/v1/chat/completions", json=person.body(None, "Hello?"))

    assert response.content == json.dumps(whole).encode()


def test_an_unknown_field_is_named(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()

    with pytest.raises(openai.BadRequestError, match=r"x_custom.*allow_params") as refused:
        person.say(session, "Hello?", extra_body={"x_custom": 1})

    assert refused.value.param == "x_custom"
    assert stub.requests == []
    assert person.stored(session) == []


def test_allow_params_lets_an_unknown_field_through(stub: OpenAIStub, person: Person) -> None:
    person.say(None, "Hello?", model="permissive", extra_body={"x_custom": {"a": 1}})

    assert stub.requests[0].body["x_custom"] == {"a": 1}


@pytest.mark.parametrize("field", ["api_base", "api_key", "base_url", "mock_response", "extra_headers", "fallbacks"])
def test_a_client_cannot_steer_the_gateway(stub: OpenAIStub, person: Person, field: str) -> None:
    response = person.http.post("/v1/chat/completions", json=person.body(None, "Hello?", **{field: "x"}))

    assert response.status_code == 400
    assert response.json()["error"]["param"] == field
    assert stub.requests == []


def _written(message: Message) -> str:
    """As text, so that 1 and 1.0, or fields in another order, are not the same."""
    return json.dumps(message)


def _listed(stored: Message, message: Message) -> str:
    """Of a listed message that which is its wire form."""
    return _written({name: stored[name] for name in message})
