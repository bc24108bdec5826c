"""Server-sent events, as far as chat completions use them: `data:` fields and comments, nothing else.

The decoder follows https://html.spec.whatwg.org/multipage/server-sent-events.html for streams cut anywhere into chunks,
except that a lone CR does not end a line: nobody sends one, and leaving it out keeps every split exact.
"""

DONE = b"[DONE]"
"""The payload that ends a stream of chat completion chunks."""


def event(payload: bytes) -> bytes:
    """One event as it is sent: only ever `data:`, since `event:` and `id:` confuse readers of chat completions."""
    if b"\n" in payload or b"\r" in payload:  # only ever between the tokens of JSON, where a blank says the same
        payload = payload.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"data: " + payload + b"\n\n"


class Decoder:
    """Chunks of bytes in, payloads of complete events out. Half an event at the end of a stream is dropped."""

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that `chunk` completes, in order; several `data:` lines of one event are joined by LF."""
        self._partial.append(chunk)
        if b"\n" not in chunk:
            return []  # joined only once a line is whole: a long line in many chunks costs no more than its length
        *lines, rest = b"".join(self._partial).split(b"\n")
        self._partial = [rest]
        return [payload for line in lines if (payload := self._take(line.removesuffix(b"\r")))]

    def _take(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        if line or not self._data:
            return None
        payload = b"\n".join(self._data)
        self._data.clear()
        return payload
