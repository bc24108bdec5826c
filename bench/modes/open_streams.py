"""1,000 streams open at once, each with one event a second: memory per stream, and what is added to each event's way.

Every event carries the time at which the upstream sent it. The same streams are first read from the upstream itself;
what the gateway adds is the difference of the two medians.
"""

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median, quantiles

import aiohttp

from bench import BenchFailed
from bench.addresses import free_port, is_open
from bench.chat import chat_body, create_sessions
from bench.rig import Rig
from bench.slow_upstream import EVENTS, SENT_AT

OPEN_STREAMS = "open-streams"
ADDED, PER_STREAM = "added to an event's way, median", "resident memory per open stream"

STREAMS = 1000
_FILES = 4 * STREAMS
"""Open at once, at most: a process has two a stream, and some of its own."""
_APART_SECONDS = 0.002
"""Between the openings of two streams, so that events come evenly and not all at once."""
_SETTLING_EVENTS = 4
"""At the head of each stream, not counted: meanwhile the other streams are being opened."""
_START_SECONDS = 10


def run(rig: Rig) -> None:
    _allow_files()
    with _running_upstream() as upstream, rig.gateway(upstream) as ours:
        direct, _ = asyncio.run(_read_all(upstream, {}, [None] * STREAMS, lambda: 0.0))
        sessions = create_sessions(ours.target, STREAMS)
        before = ours.resident_mb
        delays, most = asyncio.run(_read_all(ours.target.url, ours.target.headers, sessions, lambda: ours.resident_mb))
        _add_figures(rig, direct, delays, 1024 * (most - before) / STREAMS)


def _add_figures(rig: Rig, direct: Sequence[float], delays: Sequence[float], kb_each: float) -> None:
    """Delays are in milliseconds."""
    added = median(delays) - median(direct)
    for label, value, unit in (
        ("an event's way from the upstream itself, median", median(direct), "ms"),
        ("an event's way from the upstream itself, p99", quantiles(direct, n=100)[98], "ms"),
        ("an event's way through the gateway, median", median(delays), "ms"),
        ("an event's way through the gateway, p99", quantiles(delays, n=100)[98], "ms"),
        (ADDED, added, "ms"),
        (PER_STREAM, kb_each, "KB"),
    ):
        rig.results.add_figure(OPEN_STREAMS, label, value, unit)
    rig.say(f"{OPEN_STREAMS}: {added:.2f} ms added to an event's way, {kb_each:.0f} KB a stream")


async def _read_all(
    url: str, headers: Mapping[str, str], sessions: Sequence[str | None], memory: Callable[[], float]
) -> tuple[list[float], float]:
    """Read a stream in each session, all at once. The delays of their events, and the most memory meanwhile."""
    delays: list[float] = []
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector, timeout=timeout) as client:
        streams = [
            asyncio.create_task(_read(client, session_id, number * _APART_SECONDS, delays))
            for number, session_id in enumerate(sessions)
        ]
        most = memory()
        while not all(stream.done() for stream in streams):
            await asyncio.wait(streams, timeout=1)
            most = max(most, memory())
        await asyncio.gather(*streams)
    return delays, most


async def _read(client: aiohttp.ClientSession, session_id: str | None, after: float, delays: list[float]) -> None:
    await asyncio.sleep(after)
    seen = 0
    async with client.post("/v1/chat/completions", json=chat_body(stream=True, session_id=session_id)) as response:
        async for line in response.content:
            now = time.monotonic_ns()
            if found := SENT_AT.search(line):
                seen += 1
                if seen > _SETTLING_EVENTS:
                    delays.append((now - int(found[1])) / 1e6)
    if seen != EVENTS:
        raise BenchFailed(f"{seen} of {EVENTS} events of a slow stream arrived; status {response.status}")


@contextmanager
def _running_upstream() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.slow_upstream", "--port", str(port)])  # noqa: S603 - our own
    try:
        until = time.monotonic() + _START_SECONDS
        while not is_open(port):
            if process.poll() is not None or time.monotonic() > until:
                raise BenchFailed("bench/slow_upstream.py did not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _allow_files() -> None:
    """Let this process, and what it starts, have as many open files as are needed here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FILES:
        raise BenchFailed(f"{_FILES} open files are needed for {STREAMS:,} streams, and {hard} allowed: see ulimit -Hn")
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))
