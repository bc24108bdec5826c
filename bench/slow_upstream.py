"""A provider that streams one event a second, each with the time at which it was sent: `python -m bench.slow_upstream`.

Times are the monotonic clock's, which on Linux is the same for every process of a machine.
"""

import argparse
import asyncio
import json
import re
import time
from contextlib import suppress
from typing import Any

EVENTS = 15
"""With a time in them, of each stream; a finish and [DONE] follow."""

SENT_AT = re.compile(rb'"content": ?"(\d+)"')
"""The nanoseconds in an event."""

_INTERVAL = 1.0
_BACKLOG = 4096
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


async def serve(port: int) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", port, backlog=_BACKLOG)
    async with server:
        await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request after the other on a connection, until the client leaves it."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, flags=re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(_HEAD)
            await _stream(writer)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    writer.close()


async def _stream(writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number in range(EVENTS):
        await asyncio.sleep(started + number * _INTERVAL - loop.time())
        _send(writer, _chunk({"role": "assistant", "content": str(time.monotonic_ns())}, None))
    _send(writer, _chunk({}, "stop"))
    _send(writer, "[DONE]")


def _send(writer: asyncio.StreamWriter, data: str) -> None:
    event = f"data: {data}\n\n".encode()
    writer.write(b"%x\r\n%b\r\n" % (len(event), event))


def _chunk(delta: dict[str, Any], finish: str | None) -> str:
    head = {"id": "chatcmpl-slow", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "gpt-4o-mini"}
    return json.dumps({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().port))
