"""What of a long conversation reaches the provider: the numbers in the headers are tiktoken's and the wire's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import httpx
import pytest

from gateway.tokens.encodings import get_encoding
from tests.acceptance.conversation import Message, Person, assistant, person_at, says, system, tool, user
from tests.acceptance.process import GatewayProcess
from tests.api.composed import refusal
from tests.stubs.openai_wire import Json, OpenAIStub, Recorded, completion, error, run_in_thread, tool_call

WINDOW, RESERVE, MARGIN = 600, 100, 10
ESTIMATED_WINDOW = 4000
PRIMING = 3

QUESTION = "Tell me, if you please, one more thing about the sea and its tides, in plain words."
RUSSIAN = "Расскажи мне, пожалуйста, ещё что-нибудь про море, приливы, течения: простыми словами."


# ── what tiktoken says ───────────────────────────────────────────────────────────────────────────────────────────


def tokens(message: Mapping[str, Any], encoding: str = "o200k_base") -> int:
    """The cookbook's formula for a message of plain fields: 3, and each value as text."""
    encode = get_encoding(encoding).encode
    return 3 + sum(len(encode(value)) for value in message.values() if isinstance(value, str))


def total(messages: Sequence[Message], encoding: str = "o200k_base") -> int:
    return sum(tokens(message, encoding) for message in messages)


def exchange(number: int, text: str = QUESTION) -> list[Message]:
    """A question, and the reply that the stub gives to it."""
    return [user(f"{number}. {text}"), assistant(f"Reply number {number}: {text}")]


def newest(exchanges: Sequence[list[Message]], *, most: int, budget: int) -> list[Message]:
    """The rule, written down once more: whole exchanges, newest first, as long as both limits allow it."""
    taken: list[list[Message]] = []
    for each in reversed(exchanges):
        after = [*each, *chain(*taken)]
        if len(after) > most or total(after) > budget:
            break
        taken.insert(0, each)
    return list(chain(*taken))


# ── who talks ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Conversation:
    """One session, its exchanges so far, and the last response."""

    stub: OpenAIStub
    person: Person
    session: str
    exchanges: list[list[Message]]
    response: httpx.Response | None = None

    def ask(self, *said: Message, **fields: Any) -> httpx.Response:
        body = self.person.body(self.session, *said, **fields)
        self.response = self.person.http.post("/v1/chat/completions", json=body)
        return self.response

    def go_on(self, turns: int, text: str = QUESTION, **fields: Any) -> None:
        for _ in range(turns):
            each = exchange(len(self.exchanges), text)
            self.stub.reply_with(says(each[1]["content"]))
            response = self.ask(each[0], **fields)
            assert response.status_code == 200, response.text
            self.exchanges.append(each)

    @property
    def window(self) -> list[Message]:
        messages: list[Message] = self.stub.requests[-1].body["messages"]
        return messages

    def told(self) -> tuple[int, int, int]:
        """What the last response's headers say: history's messages and tokens, and how many were left out."""
        assert self.response is not None
        assert self.response.headers["x-session-id"] == self.session
        messages, count, trimmed = [
            int(self.response.headers[f"x-history-{name}"]) for name in ("messages", "tokens", "trimmed")
        ]
        return messages, count, trimmed


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenAIStub]:
    with run_in_thread(OpenAIStub()) as stub:
        yield stub


@pytest.fixture(scope="module")
def narrow(provider: OpenAIStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    upstream = {"model": "openai/gpt-4o-mini", "api_base": provider.base_url, "api_key": "x"}
    estimated = {"model": "hosted_vllm/llama", "api_base": provider.base_url, "context_window": ESTIMATED_WINDOW}
    models = [
        {"name": "fast", **upstream},
        {"name": "narrow", **upstream, "context_window": WINDOW, "reply_reserve": RESERVE},
        {"name": "older", **upstream, "model": "openai/gpt-4"},
        {"name": "honest", **estimated},
        {"name": "dense", **estimated},
    ]
    settings = {"models": models, "sessions": {"safety_margin": MARGIN}}
    with GatewayProcess(tmp_path_factory.mktemp("narrow"), settings) as process:
        yield process


@pytest.fixture(scope="module")
def person(narrow: GatewayProcess) -> Iterator[Person]:
    with person_at(narrow) as somebody:
        yield somebody


@pytest.fixture
def talk(provider: OpenAIStub, person: Person) -> Conversation:
    provider.requests.clear()
    return Conversation(provider, person, person.new_session(max_history_messages=1000), [])


def budget(new: Sequence[Message], *, reserve: int = RESERVE, instructions: Sequence[Message] = ()) -> int:
    return WINDOW - reserve - MARGIN - PRIMING - total([*instructions, *new])


# ── by count ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_twenty_messages_are_remembered_by_default(talk: Conversation, person: Person) -> None:
    talk.session = person.new_session()
    talk.go_on(12)

    history = list(chain(*talk.exchanges[1:11]))
    assert talk.window == [*history, talk.exchanges[11][0]]
    assert talk.told() == (20, total(history), 2)


@pytest.mark.parametrize(("limit", "taken"), [(0, 0), (1, 0), (2, 1), (3, 1), (5, 2), (6, 3), (1000, 4)])
def test_a_request_may_set_its_own_limit(talk: Conversation, limit: int, taken: int) -> None:
    talk.go_on(4)
    talk.go_on(1, max_history_messages=limit)

    history = list(chain(*talk.exchanges[4 - taken : 4]))
    assert talk.window == [*history, talk.exchanges[4][0]]
    assert talk.told() == (2 * taken, total(history), 8 - 2 * taken)


def test_a_session_has_its_own_limit_and_a_request_may_ask_for_more(talk: Conversation, person: Person) -> None:
    talk.session = person.new_session(max_history_messages=2)
    talk.go_on(4)
    assert talk.told()[0] == 2
    talk.go_on(1, max_history_messages=6)
    assert talk.told()[0] == 6
    assert talk.window == [*chain(*talk.exchanges[1:4]), talk.exchanges[4][0]]
    talk.go_on(1)
    assert talk.told()[0] == 2


def test_an_exchange_of_many_messages_goes_in_whole_or_not_at_all(talk: Conversation) -> None:
    call = tool_call("sea", "{}", call_id="call_1")
    talk.stub.reply_with(
        Json(completion(None, message={"tool_calls": [call]}, finish_reason="tool_calls")), says("It is deep.")
    )
    talk.ask(user("How deep is the sea?"))
    talk.ask(tool("call_1", "11 km"))
    talk.go_on(1)
    assert talk.told()[0] == 4

    for limit, taken in [(3, 2), (5, 4), (4, 4)]:
        talk.go_on(1, max_history_messages=limit)
        assert talk.told()[0] == taken - taken % 2
        assert talk.window[0]["role"] == "user"


def test_failed_turns_count_for_nothing(talk: Conversation) -> None:
    talk.go_on(2)
    talk.stub.reply_with(Json(error("no"), status=500))
    assert talk.ask(user("lost")).status_code == 500
    talk.go_on(1, max_history_messages=4)

    assert talk.window == [*chain(*talk.exchanges[:2]), talk.exchanges[2][0]]
    assert talk.told() == (4, total(list(chain(*talk.exchanges[:2]))), 0)


# ── by tokens ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_as_much_is_remembered_as_fits_the_window(talk: Conversation) -> None:
    talk.go_on(12, model="narrow")

    for number, request in enumerate(talk.stub.requests):
        asked = talk.exchanges[number][0]
        history = newest(talk.exchanges[:number], most=1000, budget=budget([asked]))
        assert request.body["messages"] == [*history, asked]
    assert talk.told() == (len(history), total(history), 22 - len(history))
    assert 2 < len(history) < 20, "the limit was not met: this test would show nothing"


def test_stored_tokens_are_tiktokens(talk: Conversation, person: Person) -> None:
    talk.go_on(1)
    talk.go_on(1, RUSSIAN)
    stored = [message["tokens"] for message in person.stored(talk.session)]
    assert stored == [tokens(message) for message in chain(*talk.exchanges)]


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_room_for_the_reply_is_what_the_request_asks_for(talk: Conversation, limit: str) -> None:
    talk.go_on(8, model="narrow")
    fields: dict[str, Any] = {limit: 400}
    talk.go_on(1, model="narrow", **fields)

    asked = talk.exchanges[8][0]
    history = newest(talk.exchanges[:8], most=1000, budget=budget([asked], reserve=400))
    assert talk.window == [*history, asked]
    assert talk.told() == (len(history), total(history), 16 - len(history))
    assert 0 < len(history) < len(newest(talk.exchanges[:8], most=1000, budget=budget([asked])))


def test_instructions_are_never_trimmed(talk: Conversation) -> None:
    instructions = system("Answer as a sailor would. " * 40)
    talk.stub.reply_with(says("Ahoy!"))
    talk.ask(instructions, user("Ahoy."), model="narrow")
    talk.exchanges.append([user("Ahoy."), assistant("Ahoy!")])
    talk.go_on(6, model="narrow")

    asked = talk.exchanges[6][0]
    history = newest(talk.exchanges[:6], most=1000, budget=budget([asked], instructions=[instructions]))
    assert talk.window == [instructions, *history, asked]
    assert talk.told() == (len(history), total(history), 12 - len(history))
    assert len(history) < 12


def test_what_is_new_is_never_trimmed(talk: Conversation) -> None:
    talk.go_on(4, model="narrow")
    new = [user("word " * 150), user("word " * 150), user("And so?")]
    talk.ask(*new, model="narrow")

    history = newest(talk.exchanges, most=1000, budget=budget(new))
    assert talk.window == [*history, *new]
    assert len(history) < 8


@pytest.mark.parametrize("fields", [{}, {"max_tokens": WINDOW}])
def test_what_no_window_holds_is_refused_and_not_stored(
    talk: Conversation, person: Person, fields: dict[str, Any]
) -> None:
    talk.go_on(1, model="narrow")
    before, calls = person.stored(talk.session), len(talk.stub.requests)
    text = "short" if fields else "word " * WINDOW

    found = refusal(talk.ask(system("Be brief."), user(text), model="narrow", **fields), 400)

    assert (found["type"], found["code"]) == ("invalid_request_error", "context_length_exceeded")
    assert f"{WINDOW} tokens" in found["message"]
    assert person.stored(talk.session) == before
    assert person.http.get(f"/chat/sessions/{talk.session}").json()["system_prompt"] is None
    assert len(talk.stub.requests) == calls


def test_the_last_token_that_fits_is_used(talk: Conversation) -> None:
    """One token less for history, and its oldest exchange is left out."""
    talk.go_on(2)
    history, asked = list(chain(*talk.exchanges)), exchange(2)[0]
    spare = budget([asked], reserve=0) - total(history)

    talk.stub.reply_with(says("x"), says("x"))
    talk.ask(asked, model="narrow", max_tokens=spare)
    assert talk.told() == (4, total(history), 0)
    talk.exchanges.append([asked, assistant("x")])
    history, asked = list(chain(*talk.exchanges)), exchange(3)[0]
    talk.ask(asked, model="narrow", max_tokens=budget([asked], reserve=0) - total(history) + 1)
    assert talk.told()[0] == 4


def test_another_encoding_counts_for_itself(talk: Conversation) -> None:
    talk.go_on(3, RUSSIAN)
    talk.go_on(1, RUSSIAN, model="older")

    history = list(chain(*talk.exchanges[:3]))
    assert talk.told() == (6, total(history, "cl100k_base"), 0)
    assert total(history, "cl100k_base") != total(history)
    talk.go_on(1, RUSSIAN)
    assert talk.told() == (8, total(list(chain(*talk.exchanges[:4]))), 0)


def test_a_long_conversation_stays_within_its_limits(talk: Conversation, person: Person) -> None:
    talk.go_on(100, model="narrow")
    talk.go_on(100, max_history_messages=50)

    history = list(chain(*talk.exchanges[174:199]))
    assert talk.window == [*history, talk.exchanges[199][0]]
    assert talk.told() == (50, total(history), 398 - 50)
    shown = person.http.get(f"/chat/sessions/{talk.session}").json()
    assert (shown["message_count"], shown["total_tokens"]) == (400, total(list(chain(*talk.exchanges))))


# ── by what the provider reports ─────────────────────────────────────────────────────────────────────────────────


def counting(factor: int) -> Callable[[Recorded], Json]:
    """A provider that reports this many times the tokens that o200k_base gives its prompts."""

    def answer(request: Recorded) -> Json:
        prompt = factor * (PRIMING + total(request.body["messages"]))
        usage = {"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1}
        return Json(completion(f"Reply {QUESTION}", usage=usage))

    return answer


def test_a_model_that_needs_more_tokens_is_sent_less(talk: Conversation, person: Person) -> None:
    room = ESTIMATED_WINDOW - ESTIMATED_WINDOW // 4 - MARGIN  # a quarter is kept for the reply
    sent_tokens = {}
    for model, factor in [("honest", 1), ("dense", 2)]:
        talk.session = person.new_session(max_history_messages=1000)
        for number in range(25):
            talk.stub.reply_with(counting(factor))
            response = talk.ask(user(f"{number}. " + QUESTION * 10), model=model)
            assert response.status_code == 200, response.text
        sent_tokens[model] = PRIMING + total(talk.window)
        assert 0.8 * room < factor * sent_tokens[model] < 1.1 * room
    assert sent_tokens["dense"] < 0.6 * sent_tokens["honest"]
