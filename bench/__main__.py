"""`python -m bench`: measure, show, and write bench/results.md if everything was measured as it should be."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from rich.console import Console

from bench import BenchFailed
from bench.cores import Cores, divide, keep_to
from bench.machine import machine, versions
from bench.modes import MODES, QUICK
from bench.report import markdown, show, tables
from bench.results import LeftOut, Results
from bench.rig import EVERY_PEER, Pace, Rig
from bench.targets import FERROGW
from bench.upstream import running_upstream

RESULTS = Path("bench/results.md")
_PACKAGES = {"wrk": "wrk", "nginx": "nginx-light", "taskset": "util-linux"}
QUICK_PACE = Pace(rounds=2, seconds=2, warm_up=1, sessions=128)
_WIDTH = 150
"""Columns at least, so that a table in a log is not folded."""


def main() -> int:
    options = _options()
    # As Ctrl-C does: whatever was started is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if packages := [package for program, package in _PACKAGES.items() if shutil.which(program) is None]:
        return _fail(2, f"Missing programs. On Debian and Ubuntu: apt install {' '.join(packages)}")
    console = Console(width=max(Console().width, _WIDTH))
    started = datetime.now(UTC)
    results = Results()
    try:
        about = _measure(options, results, divide(os.sched_getaffinity(0)), _progress(console))
    except BenchFailed as exc:
        return _fail(1, str(exc))
    every = tables(results, {"date": f"{started:%Y-%m-%d %H:%M} UTC", **about}, versions())
    show(console, every)
    if not results.failed and set(options.only) == set(MODES):
        RESULTS.write_text(markdown(every, date=started))
        console.print(f"Written to {RESULTS}.")
    return 1 if results.failed else 0


def _fail(code: int, text: str) -> int:
    Console(stderr=True).print(text, markup=False, highlight=False)
    return code


def _measure(
    options: argparse.Namespace, results: Results, cores: Cores, say: Callable[[str], None]
) -> Mapping[str, str]:
    """Add to the results, mode after mode. What is to be said of the machine is returned."""
    keep_to(cores.load)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        with running_upstream(directory) as upstream:
            rig = Rig(cores, upstream, directory, options.pace, results, say, options.peers)
            for mode in options.only:
                say(f"{mode} ...")
                _run(mode, rig)
        return machine(len(cores.measured + cores.load), directory)


def _run(mode: str, rig: Rig) -> None:
    """A mode that breaks off is told at the end, and the others are measured all the same."""
    try:
        MODES[mode](rig)
    except (BenchFailed, aiohttp.ClientError, OSError) as exc:
        what = str(exc) or type(exc).__name__
        rig.say(f"{mode} broke off: {what}")
        rig.results.failed.append(LeftOut(mode, "broke off", what))


def _progress(console: Console) -> Callable[[str], None]:
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - started:6.0f} s  {text}", markup=False, highlight=False)

    return say


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_modes, default=tuple(MODES), metavar="MODE,...", help=", ".join(MODES))
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)} alone, shortly, against {FERROGW}")
    parser.add_argument("--rounds", type=int, help="of each measurement; their median counts")
    parser.add_argument("--seconds", type=int, help="of one round")
    options = parser.parse_args()
    if options.quick:
        options.only = QUICK
    options.peers = (FERROGW,) if options.quick else EVERY_PEER
    options.pace = _pace(QUICK_PACE if options.quick else Pace(), options)
    return options


def _pace(pace: Pace, options: argparse.Namespace) -> Pace:
    given = {name: value for name in ("rounds", "seconds") if (value := getattr(options, name)) is not None}
    return replace(pace, **given)


def _modes(text: str) -> Sequence[str]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in MODES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: must be among {', '.join(MODES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
