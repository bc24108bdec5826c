"""What the figures were measured on: the machine, and the versions of everything."""

import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import gateway
from bench.targets import PEERS

_FSYNCS = 200
_PAGE = b"\0" * 4096


def machine(cores: int, directory: Path) -> Mapping[str, str]:
    """`cores`: how many this run may use. `directory`: where the databases are."""
    return {
        "CPU": f"{_cpu_model()}, {cores} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "fsync": f"{fsync_ms(directory):.2f} ms for 4 KB appended in the data directory, median of {_FSYNCS}",
    }


def versions() -> Mapping[str, str]:
    peers = _installed_peers()
    return {
        "gateway": f"{gateway.__version__} ({_commit()})",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "litellm": importlib.metadata.version("litellm"),
        "ferrogw": peers.get("ferrogw", "-"),
        "LiteLLM proxy": peers.get("litellm", "-"),
        "Portkey": _portkey_version(),
        "Node": _said_by("node", "--version"),
        "nginx": _said_by("nginx", "-v").removeprefix("nginx version: nginx/"),
        "wrk": _said_by("wrk", "-v").removeprefix("wrk ").partition(" [")[0],
    }


def fsync_ms(directory: Path) -> float:
    """What a durable write costs here, in milliseconds."""
    path, times = directory / "fsync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            started = time.perf_counter()
            file.write(_PAGE)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    path.unlink()
    return 1000 * median(times)


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """Of the tree, and whether the package is as it was committed."""
    changed = _said_by("git", "status", "--porcelain", "gateway")
    return f"commit {_said_by('git', 'rev-parse', '--short', 'HEAD')}{', changed since' if changed else ''}"


def _installed_peers() -> Mapping[str, str]:
    found = importlib.metadata.distributions(path=[str(path) for path in PEERS.glob("python/lib/*/site-packages")])
    return {entry.name: entry.version for entry in found}


def _portkey_version() -> str:
    package = PEERS / "portkey/node_modules/@portkey-ai/gateway/package.json"
    return str(json.loads(package.read_text())["version"]) if package.exists() else "-"


def _said_by(*command: str) -> str:
    """The first line that a program prints, wherever it prints it; a dash if it is not there."""
    if shutil.which(command[0]) is None:
        return "-"
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands
    return next(iter((result.stdout + result.stderr).splitlines()), "").strip()
