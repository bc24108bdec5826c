"""wrk: the script that it is given, and what it prints.

Invariant: a run in which anything was not answered with 2xx is no measurement, and raises.
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import BenchFailed

_SCRIPT = """\
wrk.method = "POST"
{headers}
local sessions = {{ {sessions} }}
local count = 0
-- One thread, and many more sessions than connections: no two requests in flight are of the same session.
function request()
  count = count + 1
  return wrk.format(nil, nil, nil, {body})
end
"""
_SESSION = "SESSION"
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class WrkReport:
    requests: int
    rate: float
    """Requests a second."""
    p50_ms: float
    p99_ms: float


def write_script(path: Path, headers: Mapping[str, str], body: Mapping[str, object], sessions: Sequence[str]) -> None:
    """A script that POSTs `body`, in each of the sessions in turn where there are any."""
    given = {**body, "session_id": _SESSION} if sessions else body
    parts = [_quote(part) for part in json.dumps(given).split(_SESSION)]
    path.write_text(
        _SCRIPT.format(
            headers="\n".join(f"wrk.headers[{_quote(name)}] = {_quote(value)}" for name, value in headers.items()),
            sessions=", ".join(map(_quote, sessions)),
            body=" .. sessions[count % #sessions + 1] .. ".join(parts),
        )
    )


def run_wrk(url: str, script: Path, *, connections: int, seconds: int) -> WrkReport:
    """Load `url` for so long. Raises BenchFailed."""
    result = subprocess.run(  # noqa: S603 - our own command
        [
            *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
            *("--timeout", "60s", "--latency", "--script", str(script), url),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise BenchFailed(f"wrk failed: {result.stdout}{result.stderr}")
    return parse_report(result.stdout)


def parse_report(text: str) -> WrkReport:
    """What wrk prints at its end. Raises BenchFailed if any request was not answered, or not with 2xx."""
    for trouble in ("Non-2xx or 3xx responses", "Socket errors"):
        if found := re.search(rf"{trouble}: .+", text):
            raise BenchFailed(f"Not every request was answered well. wrk says: {found[0]}")
    requests, rate = re.search(r"(\d+) requests in", text), re.search(r"Requests/sec: +([\d.]+)", text)
    if requests is None or rate is None or requests[1] == "0":
        raise BenchFailed(f"Not one request was answered in time. wrk says:\n{text}")
    return WrkReport(int(requests[1]), float(rate[1]), _percentile(text, 50), _percentile(text, 99))


def _percentile(text: str, percent: int) -> float:
    """In milliseconds."""
    found = re.search(rf"^ +{percent}% +([\d.]+)(us|ms|s|m) *$", text, flags=re.MULTILINE)
    if found is None:
        raise BenchFailed(f"wrk named no {percent}th percentile:\n{text}")
    return float(found[1]) * _MILLISECONDS[found[2]]


def _quote(text: str) -> str:
    """A Lua string; of what is sent here nothing needs another escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
