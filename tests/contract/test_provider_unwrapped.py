"""The litellm adapter sends the same, and returns the same, with and without `litellm.acompletion`.

This is what an upgrade of litellm has to pass: its functions are called here as its own call does in one version.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from unittest.mock import MagicMock

import pytest

from gateway.domain import Deployment, Timeouts, Via
from gateway.errors import GatewayError, ProviderTimeout
from gateway.providers.litellm_adapter import LitellmProvider
from gateway.providers.litellm_whole import wires
from gateway.providers.transport import Transport
from tests.contract.provider_calls import call, deployment
from tests.stubs import anthropic_wire, gemini_wire
from tests.stubs.anthropic_wire import AnthropicStub, message, text_block
from tests.stubs.gemini_wire import GeminiStub, answer, text
from tests.stubs.server import Behaviour, Hang, Json, Raw, Recorded, StubServer

Message = Mapping[str, Any]
CONNECTIONS = frozenset({"accept-encoding", "connection"})
"""Headers that each of the two ways has to say for itself."""
LIMITS = {"retry-after": "9", "x-ratelimit-limit-requests": "5", "anthropic-ratelimit-requests-remaining": "4"}
NEEDED = ["AnthropicConfig", "GoogleAIStudioGeminiConfig", "VertexGeminiConfig", "ModelResponse", "llms"]
MODELS = {
    "anthropic": ("claude-sonnet-4-5", "claude-opus-4-7", "claude-3-haiku-20240307", "not-in-the-map"),
    "gemini": ("gemini-2.5-flash", "gemini-3-pro-preview", "gemma-3-27b-it", "not-in-the-map"),
}


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


WINDOWS: Mapping[str, list[Message]] = {
    "a system prompt": [system("Be brief."), user("Hello?")],
    "two system prompts": [system("Be brief."), system("Be kind."), user("Hello?")],
    "an empty system prompt": [system(""), user("Hello?")],
    "a system prompt alone": [system("Be brief.")],
    "a system prompt in the middle": [user("Hello?"), system("Be brief."), assistant("Hello."), user("Well?")],
    "several turns": [system("Be brief."), *[user("Hello?"), assistant("Hello.")] * 10, user("Well?")],
    "one role twice": [user("Hello?"), user("Well?"), assistant("Yes."), assistant("Yes?"), user("No.")],
    "the assistant first": [assistant("Hello."), user("Well?")],
    "the assistant last": [user("Hello?"), assistant("Well, ")],
    "an empty answer": [user("Hello?"), assistant(""), user("Well?")],
    "an empty question": [user("")],
    "spaces at the ends": [user("  Hello?\n"), assistant(" Hello. "), user("\t")],
    "unicode": [system("Ünï"), user("漢字 🙂 \u2028 \x00 </b>")],
    "a long text": [user("Hello? " * 30_000)],
    "addresses": [user("https://example.com/a.png gs://bucket/a.pdf data:image/png;base64,AAAA")],
}
PARAMS: list[dict[str, Any]] = [
    {"temperature": 0.5, "top_p": 0.1, "max_tokens": 5, "stop": ["a"]},
    {"temperature": 0},
    {"temperature": 1.7},
    {"temperature": "hot"},
    {"temperature": None, "stop": None},
    {"top_p": 1},
    {"max_tokens": 100_000},
    {"max_tokens": 7.6},
    {"max_tokens": "many"},
    {"max_completion_tokens": 9},
    {"max_tokens": 5, "max_completion_tokens": 9},
    {"stop": "a"},
    {"stop": ["a", " ", "\n"]},
    {"stop": []},
    {"stop": 5},
    {"n": 1},
]
GEMINI_PARAMS: list[dict[str, Any]] = [
    {"n": 2},
    {"seed": 1},
    {"presence_penalty": 0.5, "frequency_penalty": -0.5},
    {"presence_penalty": 0, "frequency_penalty": 0},
]
WRAPPED: list[tuple[Message, dict[str, Any]]] = [
    ({"role": "user", "content": [{"type": "text", "text": "Hello?"}]}, {}),
    ({"role": "user", "content": "Hello?", "name": "ann"}, {}),
    ({"role": "developer", "content": "Be brief."}, {}),
    ({"role": "assistant", "content": "Hello.", "prefix": True}, {}),
    (user("Hello?"), {"response_format": {"type": "json_object"}}),
    (user("Hello?"), {"tools": [{"type": "function", "function": {"name": "look"}}]}),
    (user("Hello?"), {"reasoning_effort": "low"}),
]
ANSWERS: list[Behaviour] = [
    Raw(b""),
    Raw(b"<html>It works!</html>", content_type="text/html"),
    Raw(b"\xff{"),
    Raw(b"{}"),
    Raw(b"[]"),
    Raw(b"null"),
    Json({"error": {"type": "overloaded_error", "message": "Overloaded"}}),
    Json({"content": [], "candidates": [{}]}),
    Raw(b"", status=400),
    Raw(b"{}", status=429, headers=LIMITS),
    Raw(b"<html>Bad gateway</html>", status=502, content_type="text/html"),
    Raw(b"", status=204),
    Raw(b"", status=304),
]
STATUSES = (400, 401, 403, 404, 408, 413, 422, 429, 500, 503, 529)
CLAUDES: list[Behaviour] = [
    *[Json(message(text_block("Hello."), stop_reason=reason)) for reason in ("max_tokens", "stop_sequence", "refusal")],
    *[Json(message(text_block("Hello."), stop_reason=reason)) for reason in ("tool_use", "pause_turn", "new")],
    Json(message(text_block("Hello."), text_block("Hello?")), headers=LIMITS),
    Json(message()),
    Json(message({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, text_block("Hello."))),
    Json(message({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}})),
    Json({**message(text_block("Hello.")), "model": "claude-other"}, status=201),
    *[
        Json(anthropic_wire.error("some_error", "prompt is too long"), status=status, headers=LIMITS)
        for status in STATUSES
    ],
]
GEMINIS: list[Behaviour] = [
    *[Json(answer(text("Hello."), finish_reason=reason)) for reason in ("MAX_TOKENS", "SAFETY", "RECITATION", "NEW")],
    Json(answer(text("Hello."), text("Hello?"), finish_reason="STOP"), headers=LIMITS),
    Json(answer(text("Hello."), finish_reason="STOP"), headers={"x-gemini-service-tier": "PRIORITY"}),
    Json(answer(finish_reason="STOP")),
    Json(answer({"text": "Hm.", "thought": True}, text("Hello."), finish_reason="STOP")),
    Json({**answer(), "candidates": [], "promptFeedback": {"blockReason": "SAFETY"}}),
    Json({**answer(text("Hello."), finish_reason="STOP"), "modelVersion": "gemini-other"}, status=201),
    *[
        Json(gemini_wire.error(status, "SOME_STATUS", "prompt is too long"), status=status, headers=LIMITS)
        for status in STATUSES
    ],
]


class Ways:
    """The same calls both ways, to one stub."""

    def __init__(self, stub: StubServer, provider: str) -> None:
        self.stub = stub
        self.provider = provider
        self.wrapped = LitellmProvider(Transport(max_connections=10), wrapped=True)
        self.unwrapped = LitellmProvider(Transport(max_connections=10))

    def target(self, model: str | None = None, timeouts: Timeouts | None = None) -> Deployment:
        name = model or MODELS[self.provider][0]
        return deployment(Via.LITELLM, self.stub.origin, provider=self.provider, model=name, timeouts=timeouts)

    async def agree(self, target: Deployment, window: list[Message], *script: Behaviour, **params: Any) -> None:
        self.stub.reply_with(*script)
        sent, returned = await self.complete(self.unwrapped, target, window, **params)
        self.stub.reply_with(*script)
        sent_by_litellm, returned_by_litellm = await self.complete(self.wrapped, target, window, **params)
        assert [seen(request) for request in sent] == [seen(request) for request in sent_by_litellm]
        assert returned == returned_by_litellm
        assert all(map(is_unwrapped, sent))
        assert not any(map(is_unwrapped, sent_by_litellm))

    async def complete(
        self, way: LitellmProvider, target: Deployment, window: list[Message], **params: Any
    ) -> tuple[list[Recorded], dict[str, Any]]:
        """What was sent, and what was returned or raised, without what is new in every reply."""
        before = len(self.stub.requests)
        try:
            reply = await way.complete(call(target, *window, **params))
            returned = {**reply.data, "id": reply.data["id"].partition("-")[0], "created": 0, "headers": reply.headers}
        except GatewayError as exc:
            returned = {"error": type(exc), **vars(exc)}
        return self.stub.requests[before:], returned


def seen(request: Recorded) -> tuple[str, dict[str, str], Any]:
    headers = {name: value for name, value in request.headers.items() if name not in CONNECTIONS}
    return request.path, {**headers, "content-length": ""}, request.body  # its JSON may be spaced in another way


def is_unwrapped(request: Recorded) -> bool:
    return request.headers["accept-encoding"] == "identity"


@pytest.fixture(params=["anthropic", "gemini"])
async def ways(request: pytest.FixtureRequest) -> AsyncIterator[Ways]:
    """What is in the head of every call has been noted by then, from another call than those of the test."""
    kind: type[StubServer] = {"anthropic": AnthropicStub, "gemini": GeminiStub}[request.param]
    async with kind() as stub:
        made = Ways(stub, request.param)
        for model in MODELS[request.param]:
            await made.complete(made.unwrapped, made.target(model), [user("First.")])
        yield made
        await made.wrapped.aclose()
        await made.unwrapped.aclose()


async def test_every_window_is_sent_and_answered_the_same(ways: Ways) -> None:
    for model in MODELS[ways.provider]:
        for window in WINDOWS.values():
            await ways.agree(ways.target(model), window)


async def test_every_parameter_is_sent_or_refused_the_same(ways: Ways) -> None:
    for model in MODELS[ways.provider]:
        for params in PARAMS + (GEMINI_PARAMS if ways.provider == "gemini" else []):
            await ways.agree(ways.target(model), [user("Hello?")], **params)


async def test_every_answer_comes_out_the_same(ways: Ways) -> None:
    for answered in ANSWERS + {"anthropic": CLAUDES, "gemini": GEMINIS}[ways.provider]:
        await ways.agree(ways.target(), [user("Hello?")], answered)


async def test_what_is_more_than_texts_is_left_to_litellm(ways: Ways) -> None:
    for message_, params in WRAPPED:
        sent, _ = await ways.complete(ways.unwrapped, ways.target(), [user("Hello?"), message_], **params)
        assert [is_unwrapped(request) for request in sent] == [False], (message_, params)


async def test_a_redirection_is_left_to_litellm(ways: Ways) -> None:
    moved = Raw(b"", status=307, headers={"location": "/elsewhere"})
    ways.stub.reply_with(moved, moved)
    sent, _ = await ways.complete(ways.unwrapped, ways.target(), [system("Be brief."), user("Hello?")])
    first, second, *_ = sent
    assert [is_unwrapped(first), is_unwrapped(second)] == [True, False]
    assert first.body == second.body


async def test_a_call_without_an_answer_times_out_and_lets_go(ways: Ways) -> None:
    ways.stub.reply_with(Hang(), Hang(status_sent=True))
    for timeouts in (Timeouts(connect=5, read=0.1, total=5), Timeouts(connect=5, read=5, total=0.1)):
        sent, returned = await ways.complete(ways.unwrapped, ways.target(timeouts=timeouts), [user("Hello?")])
        assert returned["error"] is ProviderTimeout
        assert is_unwrapped(sent[0])
        assert await sent[0].client_gone()


async def test_calls_share_connections(ways: Ways) -> None:
    for _ in range(3):
        await ways.complete(ways.unwrapped, ways.target(), [user("Hello?")])
    assert len({request.peer for request in ways.stub.requests}) == 1


async def test_a_texts_call_goes_without_acompletion(ways: Ways) -> None:
    """As long as litellm has what is needed."""
    sent, _ = await ways.complete(ways.unwrapped, ways.target(), [user("Hello?")], max_tokens=5)
    assert [is_unwrapped(request) for request in sent] == [True]


@pytest.mark.parametrize("missing", NEEDED)
def test_a_litellm_without_what_is_needed_is_left_to_its_own_call(missing: str) -> None:
    assert set(wires(MagicMock(spec=NEEDED))) == {"anthropic", "gemini"}
    assert wires(MagicMock(spec=[name for name in NEEDED if name != missing])) == {}
