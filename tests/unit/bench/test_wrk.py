import re
from pathlib import Path

import pytest

from bench import BenchFailed
from bench.wrk import WrkReport, parse_report, write_script

REPORT = """\
Running 2s test @ http://127.0.0.1:50651/v1/chat/completions
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   940.52ms  102.61ms   1.04s    75.00%
    Req/Sec    11.71     14.09    40.00     85.71%
  Latency Distribution
     50%  948.99ms
     75%    1.02s 
     90%    1.04s 
     99%    1.04s 
  12 requests in 2.00s, 740.12KB read
Requests/sec:      6.00
Transfer/sec:    369.81KB
"""  # noqa: W291 - wrk ends these lines with a space


def test_a_report_is_read_in_milliseconds() -> None:
    assert parse_report(REPORT) == WrkReport(requests=12, rate=6.0, p50_ms=948.99, p99_ms=1040.0)


@pytest.mark.parametrize(
    ("printed", "milliseconds"), [("310.00us", 0.31), ("9.57ms", 9.57), ("1.04s ", 1040.0), ("1.50m ", 90_000.0)]
)
def test_every_unit_of_wrk_is_known(printed: str, milliseconds: float) -> None:
    report = re.sub("50%.*", f"50%  {printed}", REPORT, count=1)
    assert parse_report(report).p50_ms == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    "trouble", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 1, write 0, timeout 0\n"]
)
def test_a_request_that_was_not_answered_well_fails_the_run(trouble: str) -> None:
    with pytest.raises(BenchFailed, match=re.escape(trouble.strip())):
        parse_report(REPORT.replace("Requests/sec", f"{trouble}Requests/sec"))


def test_a_run_without_an_answer_fails() -> None:
    with pytest.raises(BenchFailed, match="Not one request"):
        parse_report(REPORT.replace("12 requests in", "0 requests in"))


def test_a_script_goes_round_the_sessions(tmp_path: Path) -> None:
    path = tmp_path / "load.lua"
    write_script(path, {"authorization": "Bearer k"}, {"model": "m", "n": 1}, ["one", "two"])
    script = path.read_text()
    assert 'wrk.headers["authorization"] = "Bearer k"' in script
    assert 'local sessions = { "one", "two" }' in script
    body = r'"{\"model\": \"m\", \"n\": 1, \"session_id\": \"" .. sessions[count % #sessions + 1] .. "\"}"'
    assert f"wrk.format(nil, nil, nil, {body})" in script


def test_a_script_without_sessions_names_none(tmp_path: Path) -> None:
    path = tmp_path / "load.lua"
    write_script(path, {}, {"model": "m"}, [])
    assert r'wrk.format(nil, nil, nil, "{\"model\": \"m\"}")' in path.read_text()
