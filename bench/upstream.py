"""The provider behind every gateway here: one nginx worker on loopback; a whole reply and a stream are static files.

It answers thousands of times faster than a model, so that what is measured is the gateway. Whole replies and streams
have an address each, because nginx decides by it alone: it reads no request body.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import BenchFailed
from bench.addresses import free_port, is_open

CONTENT_EVENTS = 200
EVENTS = CONTENT_EVENTS + 4
"""Of a stream: the role, the contents, the finish, the usage, and [DONE]."""

REPLY = "Hello there, how can I help you today with this matter?"
_WORDS = (" the", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".")
_START_SECONDS = 10

_CONFIG = """\
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 600;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=8;
    types {{ application/json json; text/event-stream sse; }}
    root {directory};
    # A static file is never POSTed to: the 405 that nginx answers is made the 200 that is wanted.
    server {{
        listen 127.0.0.1:{whole} backlog=4096;
        location = /v1/chat/completions {{ error_page 405 =200 /reply.json; try_files /reply.json =404; }}
        location = /v1/messages {{ error_page 405 =200 /message.json; try_files /message.json =404; }}
    }}
    server {{
        listen 127.0.0.1:{streamed} backlog=4096;
        location = /v1/chat/completions {{ error_page 405 =200 /reply.sse; try_files /reply.sse =404; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Addresses without a path: OpenAI's routes are under /v1."""

    whole: str
    streamed: str


@contextmanager
def running_upstream(directory: Path) -> Iterator[Upstream]:
    """Start nginx with its files in `directory`, an existing one, and stop it in the end."""
    whole, streamed = free_port(), free_port()
    _write_files(directory, whole, streamed)
    process = subprocess.Popen(  # noqa: S603 - our own command
        ["nginx", "-p", str(directory), "-c", "nginx.conf", "-e", str(directory / "error.log")],  # noqa: S607 - any nginx
        stdin=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + _START_SECONDS
        while not (is_open(whole) and is_open(streamed)):
            if process.poll() is not None or time.monotonic() > until:
                raise BenchFailed(f"nginx did not start:\n{(directory / 'error.log').read_text()}")
            time.sleep(0.01)
        yield Upstream(f"http://127.0.0.1:{whole}", f"http://127.0.0.1:{streamed}")
    finally:
        process.terminate()
        process.wait()


def stream_events() -> list[str]:
    """The data of the 204 events of a streamed reply, as OpenAI sends them when usage is asked for."""
    deltas: list[tuple[Mapping[str, Any], str | None]] = [({"role": "assistant", "content": "", "refusal": None}, None)]
    deltas += [({"content": _WORDS[number % len(_WORDS)]}, None) for number in range(CONTENT_EVENTS)]
    deltas += [({}, "stop")]
    chunks = [_chunk([_choice("delta", delta, finish)], None) for delta, finish in deltas]
    return [*chunks, _chunk([], _usage(CONTENT_EVENTS)), "[DONE]"]


def _write_files(directory: Path, whole: int, streamed: int) -> None:
    # Started by root, nginx would give its worker to a user who may not look into our directory.
    user = "user root;" if os.geteuid() == 0 else ""
    config = _CONFIG.format(directory=directory, user=user, whole=whole, streamed=streamed)
    (directory / "nginx.conf").write_text(config)
    (directory / "reply.json").write_text(_whole_reply())
    (directory / "message.json").write_text(_anthropic_message())
    (directory / "reply.sse").write_text("".join(f"data: {event}\n\n" for event in stream_events()))


def _whole_reply() -> str:
    message = {"role": "assistant", "content": REPLY, "refusal": None}
    head = _head("chat.completion")
    return _dump({**head, "choices": [_choice("message", message, "stop")], "usage": _usage(12)})


def _anthropic_message() -> str:
    """The same reply on Anthropic's wire, for what goes through litellm."""
    head = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    tail = {"stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 20, "output_tokens": 12}}
    return _dump({**head, "content": [{"type": "text", "text": REPLY}], **tail})


def _chunk(choices: list[dict[str, Any]], usage: Mapping[str, int] | None) -> str:
    head = _head("chat.completion.chunk")
    return _dump(
        {**head, "service_tier": "default", "system_fingerprint": "fp_bench", "choices": choices, "usage": usage}
    )


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-bench0001", "object": kind, "created": 1_750_000_000, "model": "gpt-4o-mini-2024-07-18"}


def _choice(name: str, content: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, name: content, "logprobs": None, "finish_reason": finish}


def _usage(completion: int) -> dict[str, int]:
    return {"prompt_tokens": 20, "completion_tokens": completion, "total_tokens": 20 + completion}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
