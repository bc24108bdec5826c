from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sse import DONE, Decoder, event

STREAM = (
    b": ping\n\n"
    b'data: {"a":1}\n\n'
    b'event: message\r\nid: 7\r\ndata:{"b":"\xc3\xa9"}\r\n\r\n'
    b"data: first\ndata: second\n\n"
    b"retry: 5\n\n"
    b"data:\n\n"
    b"data: [DONE]\n\n"
)
PAYLOADS = [b'{"a":1}', b'{"b":"\xc3\xa9"}', b"first\nsecond", b"[DONE]"]


def decode(*chunks: bytes) -> list[bytes]:
    decoder = Decoder()
    return [payload for chunk in chunks for payload in decoder.feed(chunk)]


def test_payloads_of_data_fields_alone() -> None:
    assert decode(STREAM) == PAYLOADS


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_chunks_may_be_cut_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert decode(*(STREAM[start:end] for start, end in pairwise(places))) == PAYLOADS


def test_a_payload_comes_with_the_chunk_that_completes_it() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: {") == []
    assert decoder.feed(b"}\n") == []
    assert decoder.feed(b"\ndata: next") == [b"{}"]


def test_half_an_event_is_not_an_event() -> None:
    assert decode(b"data: whole\n\ndata: half\n") == [b"whole"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_json_over_several_lines_is_sent_as_one(line_end: bytes) -> None:
    payload = b'{"a":' + line_end + b'"b"}'
    [sent] = Decoder().feed(event(payload))
    assert orjson.loads(sent) == {"a": "b"}
    assert event(payload).count(b"\n") == 2


def test_an_event_is_one_data_line_and_a_blank_one() -> None:
    assert event(DONE) == b"data: [DONE]\n\n"
