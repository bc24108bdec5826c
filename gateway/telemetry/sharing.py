"""A directory in which the processes of one server keep their metrics, so that any of them can tell those of all.

prometheus-client looks for it in the environment when it is imported: this module is for those who come before that.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.settings import SettingsError

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_metrics() -> Iterator[None]:
    """For the parent of several workers, before it loads what serves; an operator's own directory is left as it is.

    Raises SettingsError where nothing can be written, as in a container with a read-only root.
    """
    if DIRECTORY in os.environ:
        yield
        return
    parent = os.getpid()
    try:
        directory = os.environ[DIRECTORY] = tempfile.mkdtemp(prefix="gateway-metrics-")
    except OSError as exc:
        raise SettingsError(
            f"server.workers above 1 needs a directory for temporary files: {exc.strerror}. "
            "Let it write to /tmp, or to another that TMPDIR names."
        ) from exc
    try:
        yield
    finally:
        if os.getpid() == parent:
            del os.environ[DIRECTORY]
            shutil.rmtree(directory, ignore_errors=True)


def forget_process(pid: int) -> None:
    """What a process that has ended counted stays; what it was busy with does not."""
    if DIRECTORY in os.environ:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see above

        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the package has no types for it
