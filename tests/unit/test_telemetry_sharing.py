"""Where workers keep the metrics they share; that they do share them is shown by tests/acceptance/test_workers.py."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import tempfile
tempfile.tempdir = "nowhere"
from gateway.cli import main
main()
"""


def test_several_workers_say_that_they_need_a_directory(tmp_path: Path) -> None:
    """As in a container whose root is read-only."""
    done = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", PROGRAM, "serve", "--workers", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: server.workers above 1 needs a directory for temporary files: No such file or directory. "
        "Let it write to /tmp, or to another that TMPDIR names.\n"
    )
