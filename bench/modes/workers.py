"""One worker process and two, on the load of the mode `session`.

On two cores the second worker shares a core with the load: that shows that it works, not how it scales.
"""

from dataclasses import replace

from bench.load import chat_contender, measure
from bench.modes.chat import filled_sessions
from bench.rig import Rig

WORKERS = "workers"


def run(rig: Rig) -> None:
    for count in (1, 2):
        cores = rig.cores.for_workers(count)
        with replace(rig, cores=cores).gateway(server={"workers": count}) as ours:
            sessions = filled_sessions(rig, ours)
            label = f"{_counted(count, 'worker')}, {_counted(len(cores.measured), 'core')}"
            label += " shared with the load" if cores.shared else ""
            measure(rig, WORKERS, [chat_contender(rig, label, ours, sessions=sessions)])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
