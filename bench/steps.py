"""`python -m bench.steps [stateless|session|stream]`: where a turn's CPU time goes, in microseconds per step.

The gateway has the first core, and runs as in `python -m bench` but for the sampler around it (sampled.py), which takes
less than a hundredth. User time of its main thread is divided among the steps by ticks; what the kernel does for that
thread, and what the other threads do, is measured and not sampled. Streamed replies are those of turns in sessions.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench import BenchFailed
from bench.chat import chat_body, check_reply
from bench.cores import divide, keep_to
from bench.load import CONNECTIONS
from bench.modes.chat import SESSION, STATELESS, STREAM, filled_sessions
from bench.report import Table, show
from bench.results import Results
from bench.rig import Pace, Rig
from bench.running import Running
from bench.sampled import Step
from bench.targets import Target
from bench.upstream import running_upstream
from bench.wrk import WrkReport, run_wrk, write_script

KERNEL = "kernel: sockets, polling, waking threads"
WRITER = "8 close the turn: SQL and commit, in a thread"
OTHERS = "other threads"

_LANE = "_connection_worker_thread"
"""In the name of a thread of aiosqlite's. The one that was busiest is the writer's: the load hardly reads."""
_ANSWER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Snapshot:
    """CPU time since the gateway began, in seconds: the main thread's in user mode and in the kernel; the others'."""

    ticks: Mapping[str, int]
    user: float
    system: float
    threads: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cost:
    what: str
    us: float
    """CPU time per turn."""


def costs(before: Snapshot, after: Snapshot, turns: int) -> list[Cost]:
    """What was spent between the two: every step, then the kernel and the threads. Raises BenchFailed without ticks."""
    ticks = {step: after.ticks.get(step, 0) - before.ticks.get(step, 0) for step in Step}
    if not (total := sum(ticks.values())):
        raise BenchFailed("The sampler has not ticked once: the load was too short.")
    user = after.user - before.user
    threads = {name: spent - before.threads.get(name, 0.0) for name, spent in after.threads.items()}
    writer = max((spent for name, spent in threads.items() if _LANE in name), default=0.0)
    seconds = {step.value: user * count / total for step, count in ticks.items()}
    seconds |= {KERNEL: after.system - before.system, WRITER: writer, OTHERS: sum(threads.values()) - writer}
    return [Cost(what, 1e6 * spent / turns) for what, spent in seconds.items()]


def table(kind: str, report: WrkReport, every: Sequence[Cost]) -> Table:
    total = sum(cost.us for cost in every)
    rows = [_row(cost.what, cost.us, total) for cost in every]
    title = f"{kind}: {report.rate:,.0f} requests/s while sampled, {report.requests:,} turns"
    return Table(title, ("step", "share", "per turn"), [*rows, _row("all", total, total)], left=1)


def _row(what: str, us: float, total: float) -> Sequence[str]:
    return what, f"{100 * us / total:.1f} %", f"{us:,.1f} µs"


def measure(rig: Rig, kind: str) -> Table:
    """Raises BenchFailed."""
    streamed, in_sessions = kind == STREAM, kind != STATELESS
    plain = rig.gateway_target(rig.upstream.streamed if streamed else rig.upstream.whole)
    path, script = plain.directory / "steps.json", plain.directory / "load.lua"
    with rig.start(_sampled(plain, path)) as running:
        check_reply(running.target, stream=streamed)
        sessions = filled_sessions(rig, running, stream=streamed) if in_sessions else ()
        write_script(script, running.target.headers, chat_body(stream=streamed), sessions)
        _load(running, script, rig.pace.warm_up)
        before = _snapshot(running, path)
        report = _load(running, script, rig.pace.seconds)
        return table(kind, report, costs(before, _snapshot(running, path), report.requests))


def _sampled(target: Target, path: Path) -> Target:
    environ = {**target.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return replace(target, command=(sys.executable, "-m", "bench.sampled", str(path)), environ=environ)


def _load(running: Running, script: Path, seconds: int) -> WrkReport:
    url = f"{running.target.url}/v1/chat/completions"
    report = run_wrk(url, script, connections=CONNECTIONS, seconds=seconds)
    running.wait_until_idle()
    return report


def _snapshot(running: Running, path: Path) -> Snapshot:
    path.unlink(missing_ok=True)
    os.kill(running.pid, signal.SIGUSR1)
    until = time.monotonic() + _ANSWER_SECONDS
    while not path.exists():
        if time.monotonic() > until:
            raise BenchFailed(f"The sampler does not answer:\n{running.target.log_path.read_text()[-2000:]}")
        time.sleep(0.01)
    return Snapshot(**json.loads(path.read_text()))


def main() -> int:
    kinds = (STATELESS, SESSION, STREAM)
    parser = argparse.ArgumentParser(prog="python -m bench.steps", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=kinds, help="all three, one after the other, if none is named")
    parser.add_argument("--seconds", type=int, default=10, help="of load; the more, the finer")
    options = parser.parse_args()
    # As Ctrl-C does: whatever was started is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    console = Console()
    try:
        cores = divide(os.sched_getaffinity(0))
        keep_to(cores.load)
        with tempfile.TemporaryDirectory(prefix="gateway-steps-", ignore_cleanup_errors=True) as name:
            directory, pace = Path(name), Pace(seconds=options.seconds, sessions=256)
            with running_upstream(directory) as upstream:
                rig = Rig(cores, upstream, directory, pace, Results(), console.print)
                for kind in [options.kind] if options.kind else kinds:
                    show(console, [measure(rig, kind)])
    except BenchFailed as exc:
        Console(stderr=True).print(str(exc), markup=False, highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
