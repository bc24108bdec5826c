"""Counts of messages and calls: OpenAI's published figures, tiktoken itself, and where the counting is done."""

import base64
import threading
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.tokens.counter import TokenCounter
from gateway.tokens.encodings import BUNDLED, get_encoding

O200K, CL100K, P50K = BUNDLED

counter = TokenCounter()


def exact(text: str, encoding: str = O200K) -> int:
    return len(get_encoding(encoding).encode_ordinary(text))


def user(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


# The examples of the cookbook's "How to count tokens with tiktoken", with the prompt tokens that OpenAI billed.
COOKBOOK_MESSAGES = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant "
        "that translates corporate jargon into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth "
        "to touch base on opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    user("This late pivot means we don't have time to boil the ocean for the client deliverable."),
]


@pytest.mark.parametrize(("encoding", "billed"), [(O200K, 124), (CL100K, 129)])
async def test_the_cookbooks_messages_cost_what_openai_billed(encoding: str, billed: int) -> None:
    counts = await counter.messages(COOKBOOK_MESSAGES, encoding)
    assert sum(counts) + counter.call({}, encoding) == billed
    assert counts == [counter.message(message, encoding) for message in COOKBOOK_MESSAGES]


def test_a_message_is_three_tokens_and_its_texts() -> None:
    assert counter.message(user("Hello there."), O200K) == 3 + exact("user") + exact("Hello there.")
    named = counter.message(user("Hello there.", name="ann"), O200K)
    assert named == 3 + exact("user") + exact("Hello there.") + exact("ann") + 1


def test_text_parts_cost_what_the_same_text_costs() -> None:
    parts = [{"type": "text", "text": "Hello there."}, {"type": "refusal", "refusal": "No."}]
    assert counter.message(user(parts), O200K) == counter.message(user("Hello there."), O200K) + exact("No.")


def test_a_special_token_in_a_text_is_text() -> None:
    assert counter.text("<|endoftext|>", O200K) == exact("<|endoftext|>") > 1


def test_tool_calls_cost_their_texts_and_an_overhead() -> None:
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    texts = exact("assistant") + exact("get_weather") + exact('{"city": "Paris"}')
    assert counter.message(message, O200K) == 3 + texts + exact("call_1") + 8
    assert counter.message({"role": "assistant", "function_call": function}, O200K) == 3 + texts + 8


def test_a_tool_result_costs_its_text_and_its_id() -> None:
    message = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    assert counter.message(message, O200K) == 3 + exact("tool") + exact("call_1") + exact("sunny")


def test_no_text_is_free_however_deep_it_lies() -> None:
    deep: Any = "a hidden sentence of some length"
    for _ in range(3_000):
        deep = [{"inner": deep}]
    plain = counter.message(user("Hi"), O200K)
    assert counter.message(user("Hi", unheard_of=deep), O200K) == plain + exact("a hidden sentence of some length")
    assert counter.message(user("Hi", reasoning_content="Hm."), O200K) == plain + exact("Hm.")


def test_base64_is_counted_as_media_and_never_as_text() -> None:
    noise = base64.b64encode(bytes(range(256)) * 400).decode()
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{noise}", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": noise, "format": "mp3"}},
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{noise}"}},
    ]
    image, sound, video = 85, 128, 3 * 1300
    assert counter.message(user(parts), O200K) == 3 + exact("user") + image + sound + video


def test_words_that_look_like_a_data_url_are_words() -> None:
    words = "data:image/png;base64, is how such an address begins"
    assert counter.message(user(words), O200K) == 3 + exact("user") + exact(words)
    assert counter.message(user([{"type": "text", "text": words}]), O200K) == 3 + exact("user") + exact(words)


def test_spoken_replies_cost_their_transcript_and_their_sound() -> None:
    sound = base64.b64encode(bytes(48_000)).decode()  # one second of PCM16
    message = {"role": "assistant", "content": None, "audio": {"id": "audio_1", "data": sound, "transcript": "Hello."}}
    assert counter.message(message, O200K) == 3 + exact("assistant") + exact("Hello.") + 20


# ── long texts ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("encoding", BUNDLED)
def test_a_long_text_with_words_is_counted_exactly(encoding: str) -> None:
    text = "Über 1234 brown foxes jump,  over\n\nlazy dogs; 中文 too! " * 2_000
    assert counter.text(text, encoding) == exact(text, encoding)


@pytest.mark.parametrize("encoding", BUNDLED)
@pytest.mark.parametrize("run", ["a", "ab1", "=", "\n", "中文字"])
def test_a_long_run_is_counted_to_within_a_thousandth(encoding: str, run: str) -> None:
    text = run * (100_000 // len(run))
    expected = exact(text, encoding)
    assert expected <= counter.text(text, encoding) <= expected * 1.001 + 1


@pytest.mark.parametrize("encoding", BUNDLED)
def test_a_run_of_blanks_that_makes_tiktoken_panic_is_counted(encoding: str) -> None:
    assert counter.text(" " * 1_000_000 + "x", encoding) > 1_000_000 / 256


@settings(deadline=None)  # the first example may have to load the encoding
@given(st.text(max_size=200), st.sampled_from(BUNDLED))
def test_a_short_text_is_counted_as_tiktoken_does(text: str, encoding: str) -> None:
    assert counter.text(text, encoding) == exact(text, encoding)


values = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
nested = st.recursive(
    values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2)
)
wire_messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "developer", "tool", "villain"]) | nested},
    optional={
        "content": st.text(max_size=50) | nested,
        "name": st.sampled_from(["", "ann"]),
        "refusal": nested,
        "tool_calls": nested,
        "image_url": nested,
    },
)


@settings(deadline=None)
@example(user("Hi", image_url=""), O200K)
@example(user("Hi", image_url={}), O200K)
@example(user("Hi", tool_calls={}), O200K)
@given(wire_messages, st.sampled_from(BUNDLED))
async def test_a_message_alone_costs_what_it_costs_among_others(message: dict[str, Any], encoding: str) -> None:
    """A plain one is counted without taking it apart."""
    counter.text("", encoding)  # loads it
    assert await counter.messages([message], encoding) == [counter.message(message, encoding)]


# ── where it is done ─────────────────────────────────────────────────────────────────────────────────────────────


class FakeEncoder:
    """One token a character; remembers what it was asked, and in which threads."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.threads: set[int] = set()

    def encode_ordinary(self, text: str) -> list[int]:
        self.texts.append(text)
        self.threads.add(threading.get_ident())
        return [0] * len(text)


async def test_short_texts_are_counted_on_the_loop_and_long_ones_beside_it() -> None:
    encoder = FakeEncoder()
    counting = TokenCounter(load=lambda _: encoder)
    counting.text("load it", "any")
    here = {threading.get_ident()}

    encoder.threads.clear()
    assert await counting.messages([user("x" * 1_000)], "any") == [3 + 4 + 1_000]
    assert encoder.threads == here

    encoder.threads.clear()
    assert await counting.messages([user("x" * 20_000)] * 2, "any") == [3 + 4 + 20_000] * 2
    assert not encoder.threads & here

    encoder.threads.clear()
    tools = [{"type": "function", "function": {"name": "f", "description": "x" * 40_000}}]
    assert await counting.call_async({"tools": tools}, "any") == counting.call({"tools": tools}, "any") > 40_000
    assert encoder.threads > here


@pytest.mark.parametrize("message", [user("Hi"), {"role": "assistant", "content": "Hi", "refusal": None}])
async def test_of_a_plain_message_only_the_text_is_encoded(message: dict[str, Any]) -> None:
    encoder = FakeEncoder()
    counting = TokenCounter(load=lambda _: encoder)
    counting.text("load it", "any")

    encoder.texts.clear()
    assert await counting.messages([message], "any") == [3 + len(message["role"]) + 2]
    assert encoder.texts == ["Hi"]


async def test_an_encoding_is_loaded_beside_the_loop() -> None:
    loaded_in: list[int] = []

    def load(_: str) -> FakeEncoder:
        loaded_in.append(threading.get_ident())
        return FakeEncoder()

    await TokenCounter(load=load).messages([user("Hi")], "any")
    assert loaded_in
    assert threading.get_ident() not in loaded_in
