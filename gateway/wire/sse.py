"""Server-sent events, as far as chat completions use them: `data:` fields and comments, nothing else.

Reading follows https://html.spec.whatwg.org/multipage/server-sent-events.html for streams cut anywhere into chunks,
except that a lone CR does not end a line: nobody sends one, and leaving it out keeps every split exact.
"""

DONE = b"[DONE]"
"""The payload that ends a stream of chat completion chunks."""

BLANK = b"\n\n"
"""Ends an event, once CRLF has become LF: the end of its last line, and an empty one."""


def event(payload: bytes) -> bytes:
    """One event as it is sent: only ever `data:`, since `event:` and `id:` confuse readers of chat completions."""
    if b"\n" in payload or b"\r" in payload:  # only ever between the tokens of JSON, where a blank says the same
        payload = payload.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"data: " + payload + BLANK


def payload(event: bytes) -> bytes:
    """What an event says in its `data:` fields, joined by LF; empty if that is nothing. Its lines end with LF."""
    if event.startswith(b"data: ") and event.index(b"\n") == len(event) - len(BLANK):
        return event[6:-2]
    fields = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(fields)


class Decoder:
    """Chunks of bytes in, whole events out. Half an event at the end of a stream is dropped.

    An event ends with an empty line and nothing else: events with a single LF between them are read as one. Whatever
    comes before that line is kept until it does, comments too.
    """

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._last = b""
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """The events that `chunk` completes, each up to its blank line; byte for byte, but that CRLF becomes LF."""
        if self._held or b"\r" in chunk:
            chunk = self._with_plain_ends(chunk)
        if not self._partial and chunk.endswith(BLANK):
            return chunk
        if BLANK not in self._last + chunk:  # joined only once whole: a long event costs no more than its length
            self._partial.append(chunk)
            self._last = chunk[-1:] or self._last
            return b""
        self._partial.append(chunk)
        whole = b"".join(self._partial)
        end = whole.rindex(BLANK) + len(BLANK)
        rest = whole[end:]
        self._partial = [rest] if rest else []
        self._last = rest[-1:]
        return whole[:end]

    def _with_plain_ends(self, chunk: bytes) -> bytes:
        """A CR at the end waits for the chunk that says what follows it."""
        chunk = self._held + chunk
        self._held = b"\r" if chunk.endswith(b"\r") else b""
        return chunk.removesuffix(b"\r").replace(b"\r\n", b"\n")
