"""What the acceptance tests say, and to whom: a person with a key and the official SDK, and the messages they use."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.acceptance.process import GatewayProcess
from tests.stubs.openai_wire import Json, OpenAIStub, Recorded, chunk, completion
from tests.stubs.server import Behaviour

Message = dict[str, Any]
Said = str | Message
"""A message, or the text of a user's."""


class Person:
    """One user of the gateway."""

    def __init__(self, gateway: GatewayProcess, key: str) -> None:
        self.key = key
        self.sdk = gateway.sdk(key, timeout=20)
        self.http = gateway.http(key)

    def close(self) -> None:
        self.sdk.close()
        self.http.close()

    def new_session(self, **fields: Any) -> str:
        response = self.http.post("/chat/sessions", json=fields)
        assert response.status_code == 201, response.text
        return cast("str", response.json()["session_id"])

    def say(self, session: str | None, *said: Said, model: str = "fast", **fields: Any) -> ChatCompletion:
        """One call, answered whole; without a session, a stateless one."""
        reply = self.sdk.chat.completions.create(
            model=model, messages=_messages(said), extra_body=_extra_body(session, fields), **fields
        )
        assert isinstance(reply, ChatCompletion)
        return reply

    def stream(
        self, session: str | None, *said: Said, model: str = "fast", **fields: Any
    ) -> openai.Stream[ChatCompletionChunk]:
        """One call, answered in chunks."""
        reply = self.sdk.chat.completions.create(
            model=model, messages=_messages(said), extra_body=_extra_body(session, fields), stream=True, **fields
        )
        assert isinstance(reply, openai.Stream)
        return reply

    def stream_bytes(self, session: str | None, *said: Said, **fields: Any) -> bytes:
        """The body of a streamed call, as it is on the wire."""
        response = self.http.post("/v1/chat/completions", json=self.body(session, *said, stream=True, **fields))
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        return response.content

    def body(self, session: str | None, *said: Said, **fields: Any) -> dict[str, Any]:
        """The request body of a call, for those made without the SDK."""
        named = {} if session is None else {"session_id": session}
        return {"model": "fast", "messages": _messages(said), **named, **fields}

    def stored(self, session: str) -> list[Message]:
        """The session's messages as the sessions API lists them."""
        response = self.http.get(f"/chat/sessions/{session}/messages")
        assert response.status_code == 200, response.text
        return cast("list[Message]", response.json()["data"])

    def statuses(self, session: str) -> list[tuple[str, str]]:
        return [(message["role"], message["status"]) for message in self.stored(session)]


@contextmanager
def person_at(gateway: GatewayProcess, name: str = "user") -> Iterator[Person]:
    """The `user` or the `admin` that a new gateway makes keys for."""
    person = Person(gateway, gateway.first_keys[name])
    try:
        yield person
    finally:
        person.close()


class Announced:
    """A scripted behaviour of the stub that tells when its request has come in."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._arrived = threading.Event()

    def __call__(self, request: Recorded) -> Behaviour:
        del request
        self._arrived.set()
        return self._behaviour

    def wait(self) -> None:
        assert self._arrived.wait(10), "the provider was not called"


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def tool(call_id: str, text: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def assistant(content: str | None = None, **fields: Any) -> Message:
    """A reply of the stub's, with all the fields that its completions have."""
    return {"role": "assistant", "content": content, "refusal": None, "annotations": [], **fields}


def streamed(content: str | None, **fields: Any) -> Message:
    """A reply of the stub's as its stream adds up."""
    return {"role": "assistant", "content": content, "refusal": None, **fields}


def says(content: str | None = None, **fields: Any) -> Json:
    """The stub's whole answer with this reply."""
    return Json(completion(content, message=fields))


def beginning(text: str) -> list[Message]:
    """The events of a stream that has begun with this text."""
    return [chunk({"role": "assistant", "content": "", "refusal": None}), chunk({"content": text})]


def sent(stub: OpenAIStub) -> list[list[Message]]:
    """The windows that the provider was sent, oldest first."""
    return [request.body["messages"] for request in stub.requests]


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────


def text_of(chunks: Iterable[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def payloads(body: bytes) -> list[Any]:
    """The events of a stream: parsed, but for the [DONE] at its end. Nothing but `data:` fields may be in it."""
    events = body.decode().split("\n\n")
    assert events.pop() == "", "the last event has no end"
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    found = [event.removeprefix("data: ") for event in events]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in found]


def _messages(said: Iterable[Said]) -> list[Any]:
    return [user(message) if isinstance(message, str) else message for message in said]


def _extra_body(session: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    named = {} if session is None else {"session_id": session}
    return {**named, **fields.pop("extra_body", {})}
