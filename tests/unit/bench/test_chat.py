import json

import pytest

from bench.chat import mistake_of_reply, mistake_of_stream
from bench.upstream import EVENTS, stream_events


def stream(events: list[str]) -> str:
    return "".join(f"data: {event}\n\n" for event in events)


def test_a_stream_has_204_events() -> None:
    assert len(stream_events()) == EVENTS == 204
    assert mistake_of_stream(stream(stream_events())) is None


def test_spaces_in_the_json_of_events_are_no_mistake() -> None:
    events = [json.dumps(json.loads(event)) for event in stream_events()[:-1]]
    assert mistake_of_stream(stream([*events, "[DONE]"])) is None


@pytest.mark.parametrize(
    ("events", "mistake"),
    [
        (stream_events()[:-1], "without [DONE]"),
        ([*stream_events()[:-3], *stream_events()[-2:]], "203 events arrive, 200 of them with text"),
        (stream_events()[3:], "201 events arrive, 198 of them with text"),
        (['{"error": {"message": "no"}}', "[DONE]"], "2 events arrive, 0 of them with text"),
        ([], "without [DONE]"),
    ],
)
def test_a_stream_that_lacks_something_is_told(events: list[str], mistake: str) -> None:
    assert mistake in (mistake_of_stream(stream(events)) or "")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('{"choices": [{"message": {"content": "Something else"}}]}', "its text is 'Something else'"),
        ('{"error": {"message": "no"}}', "no chat completion"),
        ("<html>", "no chat completion"),
    ],
)
def test_a_reply_that_is_not_the_upstreams_is_told(text: str, mistake: str) -> None:
    assert mistake in (mistake_of_reply(text) or "")
