import os
import subprocess

from bench.processes import cpu_seconds, resident_mb


def test_a_tree_has_the_memory_of_its_children() -> None:
    alone = resident_mb(os.getpid())
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:  # noqa: S607 - any sleep
        try:
            both = resident_mb(os.getpid())
            assert 0 < resident_mb(child.pid) < both
            assert both > alone
        finally:
            child.kill()


def test_a_tree_has_the_time_of_children_that_have_ended() -> None:
    before = cpu_seconds(os.getpid())
    subprocess.run(["sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"], check=True)  # noqa: S607 - any sh
    assert cpu_seconds(os.getpid()) > before


def test_nothing_is_known_of_a_process_that_is_not_there() -> None:
    with subprocess.Popen(["true"]) as child:  # noqa: S607 - any true
        child.wait()
    assert (cpu_seconds(child.pid), resident_mb(child.pid)) == (0, 0)
