"""A target that runs: started on its cores, timed until it is ready, stopped with all that it has started."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import BenchFailed
from bench.addresses import answers
from bench.processes import cpu_seconds, resident_mb, settled_mb, wait_until_idle
from bench.targets import Target

_START_SECONDS = 120
_STOP_SECONDS = 30
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Running:
    target: Target
    pid: int
    start_seconds: float
    """From its spawning to the first 200 of its ready route."""
    idle_mb: float

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    @property
    def resident_mb(self) -> float:
        return resident_mb(self.pid)

    def wait_until_idle(self) -> None:
        wait_until_idle(self.pid)


@contextmanager
def running(target: Target, cores: tuple[int, ...]) -> Iterator[Running]:
    """Raises BenchFailed if it does not start."""
    command = ("taskset", "--cpu-list", ",".join(map(str, cores)), *target.command)
    with target.log_path.open("ab") as log:
        spawned = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=target.directory, env=target.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        while not answers(target.port, target.ready_path):
            if process.poll() is not None or time.monotonic() - spawned > _START_SECONDS:
                raise BenchFailed(f"{target.name} did not start:\n{target.log_path.read_text()}")
            time.sleep(_POLL_SECONDS)
        start_seconds = time.monotonic() - spawned
        yield Running(target, process.pid, start_seconds, settled_mb(process.pid))
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
