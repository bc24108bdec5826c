"""What the kernel says of a process and its descendants, from /proc.

Invariant: figures are of whole trees, so that workers and helpers of a target are never left out.
"""

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

# Places in /proc/PID/stat, counted from the field after the command's name: see proc(5).
_PARENT, _USER, _SYSTEM, _USER_OF_CHILDREN, _SYSTEM_OF_CHILDREN, _RESIDENT = 1, 11, 12, 13, 14, 21

_LOOK_SECONDS = 0.3
_IDLE_SHARE = 0.1
"""Of a core."""


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, that of children which have ended and been waited for included."""
    times = (_USER, _SYSTEM, _USER_OF_CHILDREN, _SYSTEM_OF_CHILDREN)
    return sum(int(fields[place]) for fields in _tree(pid).values() for place in times) / _TICKS


def resident_mb(pid: int) -> float:
    """Resident memory of the tree, in MB of 2^20 bytes. Pages that its processes share count once for each of them."""
    return sum(int(fields[_RESIDENT]) for fields in _tree(pid).values()) * _PAGE / 2**20


def settled_mb(pid: int, *, seconds: float = 5.0) -> float:
    """As resident_mb, once it has stood still for half a second, or after `seconds`."""
    until = time.monotonic() + seconds
    before, now = -1.0, resident_mb(pid)
    while abs(now - before) > 0.5 and time.monotonic() < until:
        time.sleep(0.5)
        before, now = now, resident_mb(pid)
    return now


def wait_until_idle(pid: int, *, seconds: float = 30.0) -> None:
    """Return once the tree uses next to no CPU any more, or after `seconds`.

    A server whose clients have left may still work off what they asked for, on the core of whoever is measured next.
    """
    until = time.monotonic() + seconds
    before, now = cpu_seconds(pid) - 1, cpu_seconds(pid)
    while now - before > _IDLE_SHARE * _LOOK_SECONDS and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        before, now = now, cpu_seconds(pid)


def _tree(pid: int) -> dict[int, list[str]]:
    """The fields of /proc/PID/stat of `pid` and of its descendants."""
    everything = {int(entry.name): fields for entry in Path("/proc").glob("[0-9]*") if (fields := _stat(entry))}
    found = {pid: everything[pid]} if pid in everything else {}
    while more := {
        child: fields for child, fields in everything.items() if child not in found and int(fields[_PARENT]) in found
    }:
        found |= more
    return found


def _stat(entry: Path) -> list[str]:
    try:
        # The name may hold spaces and parentheses; the last parenthesis ends it.
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return []
