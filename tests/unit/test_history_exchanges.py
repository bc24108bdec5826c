"""What is kept of a stored message, and how a history falls into exchanges."""

from typing import Any

import orjson
import pytest

from gateway.domain import HistoryMessage, Status
from gateway.history.exchanges import Exchange, Remembered, exchange_of, group, remember, without_calls
from tests.unit.histories import asks, call, says, sent, tells, user

NOW = 1_700_000_000.0


def stored(role: str, status: Status = Status.COMPLETE, **fields: Any) -> HistoryMessage:
    return HistoryMessage(
        seq=7, role=role, body=orjson.dumps({"role": role, **fields}), tokens=11, encoding="o200k_base", status=status
    )


# ── remember ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b'{"role": "user",  "content":"spaces and\\u00e9scapes stay"}',
        b'{"content": "key order too", "role": "user", "unknown": [1.0, 1e400]}',
        b'{"role":"user","content":"says \\"tool_calls\\" and \\"audio\\""}',
    ],
)
def test_a_message_goes_back_byte_for_byte(body: bytes) -> None:
    for role, status in [("user", Status.COMPLETE), ("user", Status.INCOMPLETE), ("developer", Status.COMPLETE)]:
        message = HistoryMessage(seq=3, role=role, body=body, tokens=5, encoding="cl100k_base", status=status)
        assert remember(message, now=NOW) == Remembered(3, role, body, 5, "cl100k_base")


def test_a_failed_message_is_forgotten() -> None:
    for role in ("user", "assistant", "tool"):
        assert remember(stored(role, Status.FAILED, content="Hi"), now=NOW) is None


def test_calls_and_answers_are_known_by_their_ids() -> None:
    asking = stored("assistant", content=None, tool_calls=[call("a"), call("b")])
    kept = remember(asking, now=NOW)
    assert kept is not None
    assert (kept.calls, kept.body) == (("a", "b"), asking.body)
    answer = remember(stored("tool", tool_call_id="a", content="42"), now=NOW)
    assert answer is not None
    assert answer.answers == "a"


@pytest.mark.parametrize("calls", [None, [], "text", [None], [{"id": 3}], [{}]])
def test_calls_without_ids_are_not_waited_for(calls: Any) -> None:
    kept = remember(stored("assistant", content="Hi", tool_calls=calls), now=NOW)
    assert kept is not None
    assert kept.calls == ()


def test_of_a_reply_that_was_cut_off_the_text_is_kept_and_half_a_call_is_not() -> None:
    reply = stored(
        "assistant", Status.INCOMPLETE, content="Let me", tool_calls=[call("a")], function_call={"name": "f"}
    )
    kept = remember(reply, now=NOW)
    assert sent(kept) == {"role": "assistant", "content": "Let me"}
    assert kept is not None
    assert kept.calls == ()


def test_a_text_that_was_cut_off_goes_back_byte_for_byte() -> None:
    body = b'{"role": "assistant",  "content": "Once upon"}'
    message = HistoryMessage(1, "assistant", body, 5, "o200k_base", Status.INCOMPLETE)
    assert remember(message, now=NOW) == Remembered(1, "assistant", body, 5, "o200k_base")


@pytest.mark.parametrize(
    "fields",
    [
        {"content": None, "tool_calls": [call("a")]},
        {"content": ""},
        {"content": None, "refusal": None, "reasoning_content": "Hm"},
        {"content": None, "audio": {"id": "audio_1", "expires_at": NOW + 10}},
    ],
)
def test_a_cut_off_reply_with_nothing_to_say_is_left_out(fields: dict[str, Any]) -> None:
    assert remember(stored("assistant", Status.INCOMPLETE, **fields), now=NOW) is None


AUDIO = {"id": "audio_1", "expires_at": NOW + 10, "data": "UklGRg==", "transcript": "Hello."}


def test_audio_goes_back_as_its_id() -> None:
    kept = remember(stored("assistant", content=None, audio=AUDIO), now=NOW)
    assert sent(kept) == {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}


def test_audio_that_is_an_id_already_goes_back_byte_for_byte() -> None:
    message = stored("assistant", audio={"id": "audio_1"})
    assert remember(message, now=NOW) == Remembered(7, "assistant", message.body, 11, "o200k_base")


def test_expired_audio_goes_back_as_its_transcript() -> None:
    spoken = stored("assistant", content=None, audio=AUDIO)
    assert sent(remember(spoken, now=NOW + 10)) == {"role": "assistant", "content": "Hello."}
    mute = stored("assistant", content=None, audio={"id": "audio_1", "expires_at": NOW})
    assert remember(mute, now=NOW) is None


def test_audio_that_was_cut_off_goes_back_as_its_transcript() -> None:
    spoken = stored("assistant", Status.INCOMPLETE, content=None, audio=AUDIO)
    assert sent(remember(spoken, now=NOW)) == {"role": "assistant", "content": "Hello."}


def test_audio_that_expires_while_it_is_remembered_is_renewed() -> None:
    spoken = remember(stored("assistant", content=None, audio=AUDIO), now=NOW)
    mute = remember(stored("assistant", audio={**AUDIO, "transcript": ""}), now=NOW)
    plain = remember(stored("assistant", content="Hi"), now=NOW)
    assert spoken is not None
    assert mute is not None
    assert plain is not None
    exchange = exchange_of([user(1), plain, spoken, mute])
    assert exchange.expires_at == NOW + 10
    assert exchange.renewed(NOW + 9) is exchange
    later = exchange.renewed(NOW + 10)
    assert later.parsed()[1:] == [sent(plain), {"role": "assistant", "content": "Hello."}]
    assert (later.count, later.tokens, later.messages) == (3, 32, ())
    assert later.renewed(NOW + 99) is later


def test_without_its_calls_a_message_keeps_its_sound_or_its_text() -> None:
    asking = remember(stored("assistant", content=None, audio=AUDIO, tool_calls=[call("a")]), now=NOW)
    assert asking is not None
    spoken = without_calls(asking)
    assert sent(spoken) == {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
    assert spoken is not None
    assert spoken.calls == ()
    later = exchange_of([user(1), spoken]).renewed(NOW + 10)
    assert later.parsed()[1] == {"role": "assistant", "content": "Hello."}


def test_without_its_calls_nothing_may_be_left() -> None:
    asking = remember(stored("assistant", content="", tool_calls=[call("a")]), now=NOW)
    assert asking is not None
    assert without_calls(asking) is None


def test_a_text_about_audio_is_no_audio() -> None:
    message = stored("assistant", content='{"audio": 1}', note={"audio": 1})
    assert remember(message, now=NOW) == Remembered(7, "assistant", message.body, 11, "o200k_base")


# ── exchanges ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_exchange_goes_from_one_user_message_up_to_the_next() -> None:
    history = [says(), tells("x"), user(3), asks("a"), tells("a"), says(), user(7), user(8), says()]
    strays, exchanges = group(history)
    assert list(strays) == history[:2]
    assert [exchange.parsed() for exchange in exchanges] == [
        [sent(message) for message in each] for each in (history[2:6], history[6:7], history[7:])
    ]
    assert [(each.first_seq, each.count, each.tokens) for each in exchanges] == [(3, 4, 42), (7, 1, 10), (8, 2, 15)]


@pytest.mark.parametrize("history", [[], [says()], [says(), tells("a")]])
def test_without_a_user_there_is_no_exchange(history: list[Remembered]) -> None:
    assert group(history) == (history, ())


def test_an_exchange_is_one_run_of_the_bytes_of_its_messages() -> None:
    spaced = Remembered(2, "assistant", b'{"role": "assistant",  "content": "Hi"}', 5, "o200k_base")
    exchange = exchange_of([user(1), spaced])
    assert exchange == Exchange(1, 2, 15, "o200k_base", b"%b,%b" % (user(1).body, spaced.body))


def test_what_may_be_sent_otherwise_is_kept_message_by_message() -> None:
    spoken = remember(stored("assistant", content=None, audio=AUDIO), now=NOW)
    assert spoken is not None
    for part in (asks("a"), tells("a"), tells(None), spoken):
        exchange = exchange_of([user(1), says(), part])
        assert (exchange.messages, exchange.body) == ((user(1), says(), part), b"")


def in_other(message: Remembered) -> Remembered:
    return message._replace(encoding="cl100k_base")


def test_tokens_of_two_encodings_are_of_none() -> None:
    assert exchange_of([user(1), in_other(says())]).encoding is None
    assert exchange_of([in_other(user(1)), in_other(says())]).encoding == "cl100k_base"


@pytest.mark.parametrize("reply", [says(), asks("a")])
def test_a_recounted_exchange_is_otherwise_the_same(reply: Remembered) -> None:
    recounted = exchange_of([user(1), in_other(reply)]).recounted([3, 4], "p50k_base")
    counted = [message._replace(tokens=tokens, encoding="p50k_base") for message, tokens in ((user(1), 3), (reply, 4))]
    assert recounted == exchange_of(counted)


@pytest.mark.parametrize(
    ("messages", "more"),
    [
        ([user(1)], [says(), says("Still here?")]),
        ([user(1), says()], [in_other(says())]),
        ([user(1), asks("a")], [tells("a"), says()]),
    ],
)
def test_an_exchange_goes_on_as_if_it_had_been_read_at_once(messages: list[Remembered], more: list[Remembered]) -> None:
    assert exchange_of(messages).continued(more) == exchange_of([*messages, *more])


@pytest.mark.parametrize("late", [asks("a"), tells("a")])
def test_one_run_of_bytes_cannot_be_taken_apart_again(late: Remembered) -> None:
    assert exchange_of([user(1), says()]).continued([says(), late]) is None


@pytest.mark.parametrize(
    "reply",
    [
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": [], "refusal": None},
        {"role": "assistant", "content": None, "tool_calls": []},
    ],
)
def test_a_reply_that_says_nothing_is_never_sent_back(reply: dict[str, Any]) -> None:
    stored = HistoryMessage(2, "assistant", orjson.dumps(reply), 3, "o200k_base")
    assert remember(stored, now=0) is None


@pytest.mark.parametrize(
    "reply",
    [
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function"}]},
        {"role": "assistant", "content": 'He wrote "content":null.'},
    ],
)
def test_a_reply_with_no_text_but_something_else_is_sent_back_as_it_was(reply: dict[str, Any]) -> None:
    body = orjson.dumps(reply)
    kept = remember(HistoryMessage(2, "assistant", body, 3, "o200k_base"), now=0)
    assert kept is not None
    assert kept.body == body
