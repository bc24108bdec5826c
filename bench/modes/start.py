"""Starting: seconds from the spawning to the first 200 of the ready route, and the memory of a server that idles."""

from statistics import median

from bench.rig import Rig

START = "start"
_TIMES = 3

SECONDS, MEMORY = "start to ready", "resident memory, idle"


def run(rig: Rig) -> None:
    targets = [rig.gateway_target(), *rig.peer_targets(START, rig.upstream.whole)]
    for target in targets:
        seconds, memory = [], []
        for _ in range(_TIMES):
            with rig.start(target) as running:
                seconds.append(running.start_seconds)
                memory.append(running.idle_mb)
        rig.say(f"start: {target.name} {median(seconds):.2f} s, {median(memory):.0f} MB")
        rig.results.add_figure(START, f"{target.name}, {SECONDS}", median(seconds), "s")
        rig.results.add_figure(START, f"{target.name}, {MEMORY}", median(memory), "MB")
