"""Events that are read many at once say what they say one by one, whatever a provider sends and however it is cut."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.turns.calling import Relay
from gateway.wire.runs import NotAChunk, Reader, Run, read

TEXT = b"<text>"
PADDING = b"<padding>"


def framed(delta: bytes, *, index: int = 0, reason: bytes = b"null", more: bytes = b"") -> bytes:
    """An event with holes for a text and for padding."""
    return b'data: {"id":"c","choices":[{"index":%d,"delta":%b,"finish_reason":%b}]%b}\n\n' % (
        index,
        delta,
        reason,
        more,
    )


CONTENT = framed(b'{"content":"<text>"}')
PADDED = framed(b'{"content":"<text>"}', more=b',"usage":null,"obfuscation":"<padding>"')
ARGUMENTS = framed(b'{"tool_calls":[{"index":0,"id":null,"function":{"arguments":"<text>"}}]}')
REASONING = framed(b'{"content":null,"reasoning_content":"<text>"}')
SECOND = framed(b'{"content":"<text>"}', index=1)
FRAMES = [
    CONTENT,
    PADDED,
    ARGUMENTS,
    REASONING,
    framed(b'{"tool_calls":[{"index":0,"id":"","function":{"arguments":"<text>"}}]}'),
    framed(b'{"tool_calls":[{"index":0,"type":"","function":{"arguments":"<text>"}}]}'),
    framed(b'{"tool_calls":[{"index":0,"function":{"name":"","arguments":"<text>"}}]}'),
    framed(b'{"role":"","content":"<text>"}'),
    framed(b'{"content":"","reasoning_content":"<text>"}'),
    framed(b'{"content":"<text>"}', reason=b'""', more=b',"usage":"","error":"","obfuscation":""'),
    SECOND,
    framed(b'{"content" : "<text>"}', more=b', "x":[{"content":"<text>"}]'),
    framed(b'{"content":"<text>","content":"b"}'),
    framed(b'{"content":"a","content":"<text>"}'),
    framed(b'{"role":"assistant","content":"<text>"}'),
    framed(b'{"role":"<text>"}'),
    framed(b'{"tool_calls":[{"index":0,"id":"<text>","type":"function","function":{"name":"f","arguments":""}}]}'),
    framed(b'{"tool_calls":[{"function":{"arguments":"<text>"}}]}'),
    framed(b'{"tool_calls":[{"index":1,"function":{"name":"<text>"}}]}'),
    framed(b'{"content":"<text>"}', more=b',"usage":{"prompt_tokens":3}'),
    framed(b'{"content":"<text>"}', more=b',"error":null'),
    framed(b'{"content":"<text>"}', reason=b'"stop"'),
    framed(b"{}", reason=b'"<text>"'),
    b'data: {"obfuscation":"<padding>","choices":[{"delta":{"content":"<text>"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"<text>"}},{"index":1,"delta":{"content":"<text>"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"a"}}],\r"<text>":"<text>"}\n\n',
    b'data:{"choices":[{"delta":{"content":"<text>"}}]}\r\n\r\n',
    b': ping\ndata: {"choices":[{"delta":\ndata: {"content":"<text>"}}]}\n\n',
    b'data: {"error":{"message":"<text>"}}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":5}}\n\n',
    b"data: <text>\n\n",
    b"data: [DONE]\n\n",
    b"\n",
]
BITS = [
    *(b"a", b" b", b"\xc3\xa9", b"\xc3", b"\xa9", b"\x00", b"\n", b"\r", b"\n\n", b"}", b",", b"1", b'"'),
    *(b"\\", b"\\\\", b'\\"', b"\\n", b"\\q", b"\\u", b"\\u00", b"\\u0041", b"\\ud83d", b"\\ude00", b"\\ud83d\\ude00"),
    *(b'","', b'\\","', b'"}', CONTENT.partition(TEXT)[0], CONTENT.partition(TEXT)[2]),
    *(b',"error":"', b'","error":"x', b'"},"finish_reason":"stop"},{"delta":{"content":"', b"error", b"data: [DONE]"),
]


def fill(frame: bytes, text: bytes, padding: bytes = b"") -> bytes:
    return frame.replace(TEXT, text).replace(PADDING, padding)


hostile = st.lists(st.sampled_from(BITS), max_size=4).map(b"".join)
harmless = st.text(alphabet='ab "\\\né😀', max_size=4).map(lambda text: orjson.dumps(text)[1:-1])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Long runs of one frame, with now and then another event or a text that no JSON string would hold."""
    events: list[bytes] = []
    for _ in range(draw(st.integers(1, 4))):
        frame = draw(st.sampled_from(FRAMES))
        texts = draw(st.lists(harmless | harmless | hostile, min_size=1, max_size=8))
        events += [fill(frame, text, draw(harmless | hostile) if PADDING in frame else b"") for text in texts]
    return b"".join(events)


@dataclass(frozen=True)
class Relayed:
    """All that a stream leaves behind."""

    sent: bytes
    message: Mapping[str, Any] | None
    finish_reason: str | None
    usage: object
    is_finished: bool
    has_content: bool
    has_begun: bool
    ended_by: str


class Client:
    def __init__(self) -> None:
        self.received = b""

    async def start(self, headers: Mapping[str, str]) -> None: ...

    async def send(self, data: bytes) -> None:
        self.received += data


class Chunks:
    """What the direct path does with a stream's bytes, until it ends or goes wrong."""

    headers: Mapping[str, str] = {}

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.ended_by = "its end"

    async def __aiter__(self) -> AsyncIterator[Sequence[Run]]:
        reader = Reader()
        for chunk in self._chunks:
            try:
                for run in reader.feed(chunk):
                    if run.chunk.get("error"):
                        self.ended_by = repr(run.chunk["error"])
                        return
                    yield [run]
            except NotAChunk:
                self.ended_by = "an event that is no chunk"
                return
            if reader.is_done:
                self.ended_by = "[DONE]"
                return

    async def aclose(self) -> None: ...


async def relayed(chunks: Iterable[bytes], *, include_usage: bool) -> Relayed:
    client, stream = Client(), Chunks(chunks)
    relay = Relay(client, {}, include_usage=include_usage)
    await relay.run(stream)
    fold, outcome = relay.fold, relay.outcome(None, 0.0)
    return Relayed(
        sent=client.received,
        message=fold.message,
        finish_reason=fold.finish_reason,
        usage=fold.usage,
        is_finished=fold.is_finished,
        has_content=fold.has_content,
        has_begun=outcome.ttft_ms is not None,
        ended_by=stream.ended_by,
    )


def one_by_one(stream: bytes) -> list[bytes]:
    """The stream with every event in a chunk of its own, which is where none is like the one before it."""
    return [event + b"\n\n" for event in stream.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]]


def test_a_changed_chunk_keeps_its_halves_of_characters() -> None:
    run = read(b'{"choices":[{"delta":{"role":"assistant","content":"\\ud83d"}}]}')
    del run.chunk["choices"][0]["delta"]["role"]
    assert run.rewritten() == b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n'


@given(streams(), st.lists(st.integers(0, 2000), max_size=4), st.booleans())
@example(b"".join(fill(CONTENT, text) for text in (b"a", b'b","c', b"d\\", b"e")), [], False)
@example(b"".join(fill(CONTENT, text) for text in (b"a", b"\\ud83d", b"\\ude00", b"b", b"c")), [], False)
@example(b"".join(fill(CONTENT, text) for text in (b"a", b"b", b"\\u00", b"41", b"c")), [], False)
@example(b"".join(fill(CONTENT, text) for text in (b"a", b"b", b"\xc3", b"\xa9", b"c")), [], False)
@example(b"".join(fill(PADDED, b"a", padding) for padding in (b"a", b"b", b"\\q", b"c")), [], False)
async def test_a_stream_read_many_events_at_once_is_what_it_is_event_by_event(
    stream: bytes, cuts: list[int], include_usage: bool
) -> None:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(places)]
    assert await relayed(chunks, include_usage=include_usage) == await relayed(
        one_by_one(stream), include_usage=include_usage
    )


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("text", [b"%d", b"a"], ids=["other texts", "one text"])
async def test_no_frame_is_read_as_more_than_it_says(frame: bytes, text: bytes) -> None:
    """The examples that the property above might miss: every frame, many times over."""
    events = [fill(frame, text.replace(b"%d", b"%d" % place), b"x" * place) for place in range(6)]
    closing = framed(b"{}", reason=b'"stop"')
    stream = b"".join([*events, closing])
    assert await relayed([stream], include_usage=False) == await relayed(one_by_one(stream), include_usage=False)


@pytest.mark.parametrize("frame", [CONTENT, PADDED, ARGUMENTS, REASONING, SECOND], ids=range(5))
def test_events_that_differ_in_a_text_are_one_run(frame: bytes) -> None:
    events = [fill(frame, b'\\"%d\\u00e9' % place, b"x" * place) for place in range(100)]
    first, run, last = Reader().feed(b"".join([*events, b"data: {}\n\n"]))
    assert first.framed == events[0]
    assert run.framed == b"".join(events[1:])
    assert last == read(b"{}")


def test_a_run_says_all_the_texts() -> None:
    _, run = Reader().feed(b"".join(fill(CONTENT, text) for text in (b"a", b"\\n", b"", b"\xc3\xa9")))
    assert run.chunk == {"id": "c", "choices": [{"index": 0, "delta": {"content": "\né"}, "finish_reason": None}]}


def test_a_frame_is_learnt_anew_when_it_changes() -> None:
    reasoning = framed(b'{"reasoning_content":"<text>"}')
    events = b"".join(fill(frame, b"a") for frame in (reasoning, CONTENT, ARGUMENTS) for _ in range(50))
    assert len(list(Reader().feed(events))) == 6


def test_a_stream_of_ever_new_frames_is_read_plainly_in_the_end() -> None:
    """Learning costs more than reading: here it would be done for nothing, again and again."""
    reader = Reader()
    events = b"".join(framed(b'{"content":"a"}', more=b',"created":%d' % at) for at in range(100))
    assert len(list(reader.feed(events))) == 100
    assert len(list(reader.feed(fill(CONTENT, b"a") * 100))) == 100


class Watched(bytes):
    """Counts how often somebody looks whether a frame stands somewhere in it: once for each event of a run."""

    looks = 0

    def startswith(self, *args: Any) -> bool:
        self.looks += 1
        return super().startswith(*args)


def test_a_run_that_is_refused_is_not_tried_from_each_of_its_events() -> None:
    """However well the stream went before: else one half of a character makes a long chunk quadratic."""
    reader, count = Reader(), 300
    assert len(list(reader.feed(fill(CONTENT, b"a") * 20 * count))) == 2
    chunk = Watched(fill(CONTENT, b"a") * count + fill(CONTENT, b"\\ud83d"))
    assert b"".join(run.framed for run in reader.feed(chunk)) == chunk
    assert count < chunk.looks < 50 * count


@pytest.mark.parametrize("name", ["id", "type"])
def test_a_call_that_goes_on_may_have_an_empty_name(name: str) -> None:
    """Some providers repeat the fields of a call's first event, and leave them empty."""
    event = framed(b'{"tool_calls":[{"index":0,"%b":"","function":{"arguments":"<text>"}}]}' % name.encode())
    runs = list(Reader().feed(fill(event, b"a") + fill(event, b"b")))
    assert [run.chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] for run in runs] == ["a", "b"]


def test_nothing_is_read_after_the_end() -> None:
    reader = Reader()
    assert list(reader.feed(b"data: {}\n\ndata: [DONE]\n\ndata: x\n\n")) == [read(b"{}")]
    assert reader.is_done


@pytest.mark.parametrize("junk", [b"{", b"[]", b'{"\\ud83d": ', b"null", b'{"a":' * 300 + b"1" + b"}" * 300])
def test_an_event_is_a_json_object(junk: bytes) -> None:
    with pytest.raises(NotAChunk):
        read(junk)
