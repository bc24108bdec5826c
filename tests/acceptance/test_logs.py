"""The log: one line a request that says all but what was said, and no word of it, nor of any credential, elsewhere."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.acceptance.conversation import Person, beginning, says
from tests.acceptance.process import GatewayProcess
from tests.stubs.openai_wire import USAGE, Events, Gate, Json, OpenAIStub, Raw, chunks, error, run_in_thread

PROVIDER_KEY = "sk-Zq7Xw2Lk9Rt4Vb8N"
SAID = "canary-in-content-4711"
PROMPT = "canary-in-instructions-4712"
METADATA = "canary-in-metadata-4713"
ANSWERED = "canary-in-reply-4714"
COMPLAINED = "canary-in-error-4715"
UNREACHABLE = "http://127.0.0.1:9/canary-in-address-4716"
PRIVATE = [SAID, PROMPT, METADATA, ANSWERED, COMPLAINED, "canary-in-address-4716"]
WINDOW = 8
"""Characters in a row of a credential that must not be seen anywhere."""


@dataclass
class Day:
    """What a gateway was asked in the course of one run, what it answered, and what it logged."""

    key: str
    session: str
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    log: str = ""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == "request"]

    def line_of(self, name: str) -> dict[str, Any]:
        request_id = self.answers[name].headers["x-request-id"]
        (found,) = [line for line in self.requests if line["request_id"] == request_id]
        return found


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """A day on which everything happens, at the most talkative level of logging."""
    with (
        run_in_thread(OpenAIStub()) as stub,
        GatewayProcess(tmp_path_factory.mktemp("logs"), settings(stub)) as gateway,
    ):
        person = Person(gateway, gateway.create_key("alice"))
        try:
            yield live(gateway, stub, person)
        finally:
            person.close()


def settings(stub: OpenAIStub) -> dict[str, Any]:
    upstream = {"model": "openai/gpt-4o-mini", "api_base": stub.base_url, "api_key": PROVIDER_KEY}
    return {
        "models": [
            {"name": "direct", **upstream},
            {"name": "litellm", **upstream, "via": "litellm"},
            {"name": "nowhere", **upstream, "api_base": UNREACHABLE},
            {"name": "nowhere-litellm", **upstream, "api_base": UNREACHABLE, "via": "litellm"},
        ],
        "logging": {"level": "debug", "format": "json"},
    }


def live(gateway: GatewayProcess, stub: OpenAIStub, person: Person) -> Day:
    created = person.http.post(
        "/chat/sessions", json={"session_name": SAID, "system_prompt": PROMPT, "metadata": {"a": METADATA}}
    )
    day = Day(person.key, created.json()["session_id"], {"create": created})
    for model in ("direct", "litellm"):
        talk(day, stub, person, model)
    for model in ("nowhere", "nowhere-litellm"):
        day.answers[model] = chat(person, day.session, model)
    make_mistakes(day, gateway, person)
    day.answers["messages"] = person.http.get(f"/chat/sessions/{day.session}/messages", params={"limit": 50, "x": SAID})
    assert gateway.stop() == 0  # the line of a request is written after its last byte
    day.log = gateway.log
    return day


def talk(day: Day, stub: OpenAIStub, person: Person, model: str) -> None:
    """Replies and failures of a provider that repeats what it was sent, and the key that it was called with."""
    rude = error(f"{COMPLAINED}: {SAID}", code="invalid_value")
    telltale = error(f"Incorrect API key provided: {PROVIDER_KEY}. {COMPLAINED}", code="invalid_api_key")
    behaviours: dict[str, Json | Raw | Events] = {
        "whole": says(ANSWERED),
        "stream": Events(chunks(ANSWERED)),
        "status 400": Json(rude, status=400),
        "status 401": Json(telltale, status=401),
        "status 429": Json(telltale, status=429),
        "status 500": Raw(f"<html>{COMPLAINED} {PROVIDER_KEY}".encode(), status=500, content_type="text/html"),
        "no JSON": Raw(f"{COMPLAINED} {PROVIDER_KEY}".encode()),
        "stream with an error": Events([*beginning(ANSWERED), telltale]),
        "stream that is cut": Events(beginning(ANSWERED), ending="eof"),
    }
    for name, behaviour in behaviours.items():
        stub.reply_with(behaviour)
        is_stream = isinstance(behaviour, Events)
        day.answers[f"{model}: {name}"] = chat(person, day.session, model, stream=is_stream)
    leave(stub, person, model)


def leave(stub: OpenAIStub, person: Person, model: str) -> None:
    """Hang up in the middle of a stateless stream."""
    gate = Gate()
    stub.reply_with(Events([*beginning(ANSWERED), gate]))
    with person.stream(None, SAID, model=model) as stream:
        assert any(chunk.choices[0].delta.content == ANSWERED for chunk in stream)
    assert stub.requests[-1].wait_client_gone()


def make_mistakes(day: Day, gateway: GatewayProcess, person: Person) -> None:
    answers, url = day.answers, "/v1/chat/completions"
    answers["unknown session"] = chat(person, "sess_unknown", "direct")
    answers["unknown model"] = chat(person, day.session, "gpt-nobody-knows")
    answers["unknown field"] = chat(person, day.session, "direct", x_custom=SAID)
    answers["bad field"] = person.http.post(url, json={"model": "direct", "messages": [{"role": SAID, "content": 1}]})
    answers["bad limit"] = chat(person, day.session, "direct", max_history_messages=SAID)
    answers["no JSON"] = person.http.post(url, content=b'{"messages": "' + SAID.encode())
    answers["unknown route"] = person.http.get("/v1/nothing", params={"key": SAID})
    answers["wrong method"] = person.http.put(url, json={"a": SAID})
    answers["not an admin"] = person.http.get("/admin/keys")
    for name, key in {"a cut key": person.key[:-3], "a mistyped key": person.key[:-1] + "!", "no key": None}.items():
        with gateway.http(key) as stranger:
            answers[name] = stranger.post(url, json=person.body(None, SAID))


def chat(person: Person, session: str, model: str, **fields: Any) -> httpx.Response:
    body = person.body(session, SAID, model=model, metadata={"a": METADATA}, **fields)
    return person.http.post("/v1/chat/completions", json=body)


# ── what is logged ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_request_has_one_line_with_its_id(day: Day) -> None:
    logged = [line["request_id"] for line in day.requests]
    answered = [answer.headers["x-request-id"] for answer in day.answers.values()]

    assert len(set(logged)) == len(logged) == len(answered) + 2  # and the two whose client left
    assert set(answered) < set(logged)


def test_the_line_of_a_turn_says_who_what_and_how_long(day: Day) -> None:
    line = day.line_of("direct: whole")

    expected = {
        "level": "info",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "user": "alice",
        "model": "direct",
        "provider": "openai",
        "via": "direct",
        "session": day.session,
        "stream": False,
        "outcome": "complete",
        "prompt_tokens": USAGE["prompt_tokens"],
        "completion_tokens": USAGE["completion_tokens"],
        "history_messages": 0,
    }
    assert {name: line[name] for name in expected} == expected
    assert line["duration_ms"] >= line["latency_ms"] > 0
    assert 0 < line["overhead_ms"] < line["duration_ms"]
    assert line["turn"].startswith("turn_")
    assert line["key"].startswith("key_")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("via", ["direct", "litellm"])
@pytest.mark.parametrize(
    ("name", "status", "outcome", "code"),
    [
        ("whole", 200, "complete", None),
        ("stream", 200, "complete", None),
        ("status 400", 400, "failed", "invalid_value"),
        ("status 401", 401, "failed", "provider_authentication_error"),
        ("status 429", 429, "failed", "invalid_api_key"),
        ("status 500", 500, "failed", "provider_error"),
        ("no JSON", 502, "failed", "provider_unavailable"),
        ("stream with an error", 200, "incomplete", "invalid_api_key"),
        ("stream that is cut", 200, "incomplete", "provider_unavailable"),
    ],
)
def test_the_line_of_a_turn_says_how_it_came_out(
    day: Day, via: str, name: str, status: int, outcome: str, code: str | None
) -> None:
    line = day.line_of(f"{via}: {name}")

    assert (line["status"], line["outcome"], line.get("error"), line["via"]) == (status, outcome, code, via)
    assert day.answers[f"{via}: {name}"].status_code == status


def test_clients_that_left_have_their_line(day: Day) -> None:
    left = [line for line in day.requests if line.get("error") == "client_disconnected"]

    assert [(line["model"], line["outcome"]) for line in left] == [("direct", "incomplete"), ("litellm", "incomplete")]
    assert all("session" not in line for line in left)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("nowhere", 502, "provider_unavailable"),
        ("nowhere-litellm", 502, "provider_unavailable"),
        ("unknown session", 404, "session_not_found"),
        ("unknown model", 404, "model_not_found"),
        ("unknown field", 400, "unknown_parameter"),
        ("no JSON", 400, "invalid_json"),
        ("unknown route", 404, "unknown_url"),
        ("wrong method", 405, "method_not_allowed"),
        ("not an admin", 403, "insufficient_permissions"),
        ("a cut key", 401, "invalid_api_key"),
        ("no key", 401, "missing_api_key"),
    ],
)
def test_mistakes_have_their_line_too(day: Day, name: str, status: int, code: str) -> None:
    line = day.line_of(name)

    assert (line["status"], line["error"]) == (status, code)
    assert line["level"] == "info"


def test_nothing_but_json_is_logged(day: Day) -> None:
    """Apart from the box with the first keys, which is for people."""
    others = [line for line in day.log.splitlines() if not line.startswith("{")]

    assert all(line[0] in "╭│╰" for line in others)
    assert all("Traceback" not in json.dumps(line) for line in day.lines)


# ── what is not ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("canary", PRIVATE)
def test_nothing_that_was_said_is_logged(day: Day, canary: str) -> None:
    assert canary not in day.log


def test_no_piece_of_a_credential_is_logged(day: Day) -> None:
    assert seen_in(day.log, day.key[len("sk-gw-") + 10 :]) == []  # what comes before it is the key's public id
    assert seen_in(day.log, PROVIDER_KEY) == []


def test_no_piece_of_a_credential_or_an_address_is_answered(day: Day) -> None:
    for name, answer in day.answers.items():
        assert seen_in(answer.text, PROVIDER_KEY) == [], name
        assert seen_in(answer.text, day.key) == [], name
        assert UNREACHABLE not in answer.text
        assert "Traceback" not in answer.text


def test_errors_are_in_openais_shape(day: Day) -> None:
    errors = [answer for answer in day.answers.values() if answer.status_code >= 400]

    assert len(errors) > 20
    for answer in errors:
        assert set(answer.json()) == {"error"}
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def seen_in(text: str, secret: str) -> list[str]:
    """Those pieces of the secret that the text shows."""
    pieces = [secret[start : start + WINDOW] for start in range(len(secret) - WINDOW + 1)]
    return [piece for piece in pieces if piece in text]
