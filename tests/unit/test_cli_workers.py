"""What is decided about workers; that it is done is shown by tests/acceptance/test_workers.py, with processes."""

import subprocess
import sys

from gateway.cli.workers import pause_after


def test_a_worker_that_served_for_long_is_replaced_at_once() -> None:
    assert pause_after(0) == 0


def test_pauses_grow_from_one_short_life_to_the_next_up_to_a_limit() -> None:
    pauses = [pause_after(short_lives) for short_lives in range(1, 100)]
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert max(pauses) == pauses[-1] == 30


PROGRAM = """
import os, signal
from gateway.cli.workers import Workers

parent, fork, forks = os.getpid(), os.fork, 0

def failing_fork():
    global forks
    forks += 1
    if forks == 3:
        raise BlockingIOError("no more processes")
    return fork()

def serve(lifeline):
    lifeline.ready.send_bytes(b"ready")
    if forks == 2:
        os._exit(1)  # is replaced, which fails at first
    if forks == 4:
        os.kill(parent, signal.SIGTERM)
    lifeline.parent.poll(None)
    return 0

os.fork = failing_fork
raise SystemExit(Workers(2, serve).run())
"""


def test_a_worker_that_cannot_be_started_leaves_the_others_serving_and_is_tried_again() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stderr
    assert "worker not started" in done.stdout + done.stderr
