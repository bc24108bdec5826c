from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sse import DONE, Decoder, event, payload

STREAM = (
    b": ping\n\n"
    b'data: {"a":1}\n\n'
    b'event: message\r\nid: 7\r\ndata:{"b":"\xc3\xa9"}\r\n\r\n'
    b"data: first\ndata: second\n\n"
    b"retry: 5\n\n"
    b"data:\n\n\n"
    b"data: a\r\r\n\n"
    b"data: [DONE]\n\n"
)
PAYLOADS = [b'{"a":1}', b'{"b":"\xc3\xa9"}', b"first\nsecond", b"a\r", b"[DONE]"]


def decode(*chunks: bytes) -> list[bytes]:
    decoder = Decoder()
    return [said for chunk in chunks for said in payloads(decoder.feed(chunk))]


def payloads(events: bytes) -> list[bytes]:
    return [said for each in events.split(b"\n\n") if (said := payload(each + b"\n\n"))]


def test_payloads_of_data_fields_alone() -> None:
    assert decode(STREAM) == PAYLOADS


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_chunks_may_be_cut_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert decode(*(STREAM[start:end] for start, end in pairwise(places))) == PAYLOADS


def test_an_event_comes_with_the_chunk_that_completes_it() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: {") == b""
    assert decoder.feed(b"}\n") == b""
    assert decoder.feed(b"\ndata: next") == b"data: {}\n\n"


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_events_that_come_whole_are_not_kept_waiting(blank: bytes) -> None:
    decoder = Decoder()
    for _ in range(3):
        assert decoder.feed(b"data: {}" + blank) == b"data: {}\n\n"


def test_half_an_event_is_not_an_event() -> None:
    assert decode(b"data: whole\n\ndata: half\n") == [b"whole"]


def test_a_comment_without_an_empty_line_belongs_to_the_next_event() -> None:
    decoder = Decoder()
    assert decoder.feed(b": ping\n") == b""
    assert payloads(decoder.feed(b"data: {}\n\n")) == [b"{}"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_json_over_several_lines_is_sent_as_one(line_end: bytes) -> None:
    said = b'{"a":' + line_end + b'"b"}'
    [sent] = decode(event(said))
    assert orjson.loads(sent) == {"a": "b"}
    assert event(said).count(b"\n") == 2


def test_an_event_is_one_data_line_and_a_blank_one() -> None:
    assert event(DONE) == b"data: [DONE]\n\n"
