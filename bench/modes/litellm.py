"""What the path through litellm adds to litellm: our `via: litellm` against a bare loop around `litellm.acompletion`.

The loop has no server, no key to check and no ledger to write; it is the most that anything built on litellm can reach.
"""

import re
import subprocess
import sys

from bench import BenchFailed
from bench.chat import check_reply
from bench.load import CONNECTIONS, Contender, chat_contender, measure
from bench.results import Round
from bench.rig import Rig
from bench.targets import model_entry

LITELLM = "litellm"
BARE, THROUGH = "bare litellm.acompletion", "gateway, via litellm"


def run(rig: Rig) -> None:
    with rig.gateway(models=[model_entry(rig.upstream.whole, via="litellm")]) as ours:
        check_reply(ours.target)
        bare = Contender(BARE, CONNECTIONS, lambda seconds: _bare(rig, seconds), lambda: None)
        measure(rig, LITELLM, [chat_contender(rig, THROUGH, ours), bare])


def _bare(rig: Rig, seconds: int) -> Round:
    """A run of its own program, on the cores of the gateway. It warms itself up."""
    loop = (sys.executable, "-m", "bench.bare_litellm", "--api-base", f"{rig.upstream.whole}/v1")
    cores = ",".join(map(str, rig.cores.measured))
    result = subprocess.run(  # noqa: S603 - our own command
        ["taskset", "--cpu-list", cores, *loop, "--concurrency", str(CONNECTIONS), "--seconds", str(seconds)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"([\d.]+) calls/s, ([\d.]+) us CPU per call", result.stdout)
    if result.returncode != 0 or found is None:
        raise BenchFailed(f"bench/bare_litellm.py failed: {result.stdout}{result.stderr}")
    return Round(float(found[1]), float(found[2]))
