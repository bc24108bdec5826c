"""Load on one or more targets, in turns: each is warmed up, then round follows round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.chat import chat_body
from bench.results import Round, Row
from bench.rig import Rig
from bench.running import Running
from bench.wrk import run_wrk, write_script

CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that can be put under load for so many seconds."""

    label: str
    connections: int
    load: Callable[[int], Round]
    resident_mb: Callable[[], float | None]


def chat_contender(
    rig: Rig,
    label: str,
    running: Running,
    *,
    connections: int = CONNECTIONS,
    stream: bool = False,
    sessions: Sequence[str] = (),
) -> Contender:
    """A target under chat completions, each in the next one of the sessions; stateless where there are none."""
    script = rig.new_directory().with_suffix(".lua")
    write_script(script, running.target.headers, chat_body(stream=stream), sessions)
    url = f"{running.target.url}/v1/chat/completions"

    def load(seconds: int) -> Round:
        before = running.cpu_seconds
        report = run_wrk(url, script, connections=connections, seconds=seconds)
        spent = running.cpu_seconds - before
        running.wait_until_idle()
        return Round(report.rate, 1e6 * spent / report.requests, report.p50_ms, report.p99_ms)

    return Contender(label, connections, load, lambda: running.resident_mb)


def measure(rig: Rig, mode: str, contenders: Sequence[Contender]) -> list[Row]:
    """Add a row for each to the results, and return them. Raises BenchFailed unless every answer was 2xx."""
    for contender in contenders:
        contender.load(rig.pace.warm_up)
    rounds: list[list[Round]] = [[] for _ in contenders]
    for number in range(1, rig.pace.rounds + 1):
        for done, contender in zip(rounds, contenders, strict=True):
            done.append(contender.load(rig.pace.seconds))
            rig.say(f"{mode}, round {number}: {contender.label} {done[-1].rate:,.0f}/s")
    rows = [
        Row(mode, contender.label, contender.connections, done, contender.resident_mb())
        for contender, done in zip(contenders, rounds, strict=True)
    ]
    rig.results.rows += rows
    return rows
