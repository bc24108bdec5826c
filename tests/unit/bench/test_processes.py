import os
import signal
import subprocess
import sys

from bench.processes import cpu_seconds, resident_mb

SLEEPER = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_a_tree_has_the_memory_of_its_children() -> None:
    """A shell, which is small, and its child, which is larger than that."""
    command = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, SLEEPER]  # true, or the shell would become its child
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as shell:  # noqa: S603 - our own code
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        try:
            assert child != shell.pid
            assert 0 < resident_mb(child) < resident_mb(shell.pid)
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def test_a_tree_has_the_time_of_children_that_have_ended() -> None:
    before = cpu_seconds(os.getpid())
    subprocess.run(["sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"], check=True)  # noqa: S607 - any sh
    assert cpu_seconds(os.getpid()) > before


def test_nothing_is_known_of_a_process_that_is_not_there() -> None:
    with subprocess.Popen(["true"]) as child:  # noqa: S607 - any true
        child.wait()
    assert (cpu_seconds(child.pid), resident_mb(child.pid)) == (0, 0)
