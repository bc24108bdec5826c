"""What `litellm.acompletion` does by itself on one core: the measure for the path through it.

N loops in one process call it one after the other, with the client settings that the gateway gives it (timeouts, no
retries). `--calm` also gives litellm the gateway's module settings, so that what those save is told apart from what
the gateway costs. The upstream is what the other benchmarks use: a server that answers at once. Prints one line.
"""

import argparse
import asyncio
import resource
import sys
import time
from importlib import import_module
from typing import Any

import httpx
import uvloop

from gateway.domain import Timeouts
from gateway.providers.litellm_adapter import calm

QUESTION = "Hello there, what is the weather like in Paris today?"
WARM_UP = 1.0
"""Seconds: litellm imports parts of itself, and builds its clients, during the first calls."""


async def main(options: argparse.Namespace) -> None:
    litellm: Any = import_module("litellm")  # takes seconds: not for --help

    if options.calm:
        calm(litellm)
    given = _arguments(options)
    await _load(litellm, given, options.concurrency, WARM_UP)
    cpu, started = _cpu(), time.perf_counter()
    calls = await _load(litellm, given, options.concurrency, options.seconds)
    elapsed, spent = time.perf_counter() - started, _cpu() - cpu
    kind = ("streamed" if options.stream else "whole") + (", calm" if options.calm else "")
    line = f"litellm.acompletion {kind}: {calls / elapsed:.0f} calls/s, {1e6 * spent / calls:.0f} us CPU per call\n"
    sys.stdout.write(line)
    await litellm.close_litellm_async_clients()


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    timeouts = Timeouts()
    given: dict[str, Any] = {
        "model": options.model,
        "messages": [{"role": "user", "content": QUESTION}],
        "api_base": options.api_base,
        "api_key": "x",
        "timeout": httpx.Timeout(timeouts.read, connect=timeouts.connect),
        "max_retries": 0,
        "num_retries": 0,
    }
    return {**given, "stream": True, "stream_options": {"include_usage": True}} if options.stream else given


async def _load(litellm: Any, given: dict[str, Any], concurrency: int, seconds: float) -> int:
    """How many calls were finished in that time."""
    until = time.perf_counter() + seconds

    async def loop() -> int:
        calls = 0
        while time.perf_counter() < until:
            reply = await litellm.acompletion(**given)
            if given.get("stream"):
                async for _ in reply:
                    pass
            calls += 1
        return calls

    return sum(await asyncio.gather(*(loop() for _ in range(concurrency))))


def _cpu() -> float:
    """CPU seconds of this process, of all its threads, in user and kernel mode."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--api-base", default="http://127.0.0.1:9100/v1")
    parser.add_argument("--model", default="openai/gpt-4o-mini")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--calm", action="store_true", help="with the gateway's settings of litellm")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_options()))
