"""The dashboard and the alerts ask for metrics that there are, by labels that they have, and lead to the runbook."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documents import anchors
from tests.system_tools import system_tool

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "config" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "config" / "grafana" / "gateway.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

SCRAPED = {"instance", "job"}
"""Labels that Prometheus adds to everything."""


def documented() -> dict[str, set[str]]:
    """The metrics that there are, as Prometheus stores them → their labels. A unit test holds the table to the code."""
    found: dict[str, set[str]] = {"up": SCRAPED}
    table = (ROOT / "docs" / "metrics.md").read_text()
    for name, kind, column in re.findall(r"^\| `(gateway_\w+)` \| (\w+) \|([^|]*)\|", table, re.MULTILINE):
        labels = {*re.findall(r"`(\w+)`", column), *SCRAPED}
        if kind == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    return found


def recorded() -> dict[str, set[str]]:
    """The metrics that the recording rules make → their labels, by which the names begin."""
    return {rule["record"]: set(grouped(rule["expr"])) for rule in RULES if "record" in rule}


def selected(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric that is asked for, and the labels by which it is narrowed down."""
    for name, matchers in re.findall(r"((?:[a-z_]+:)?\b(?:gateway_|up\b)[\w:]*)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


def grouped(expression: str) -> list[str]:
    return [label for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.findall(r"\w+", labels)]


def wrong(expression: str) -> list[str]:
    """What an expression asks for that is not there."""
    there = documented() | recorded()
    unknown, having = [], set[str]()
    for name, narrowed_by in selected(expression):
        labels = there.get(name)
        if labels is None:
            unknown.append(name)
            continue
        having |= labels
        unknown += [f"{name}{{{label}}}" for label in sorted(narrowed_by - labels)]
    if not unknown:
        unknown += [f"by ({label})" for label in grouped(expression) if label not in having]
    return unknown


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    assert list(selected(rule["expr"]))
    assert wrong(rule["expr"]) == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert list(selected(target["expr"]))
        assert wrong(target["expr"]) == []
        legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert legend <= set(grouped(target["expr"]))


def test_every_metric_has_a_panel() -> None:
    asked = {name for panel in PANELS for target in panel["targets"] for name, _ in selected(target["expr"])}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    there = {re.sub(r"_(bucket|sum|count)$", "", name) for name in documented()}
    assert there - shown == {"up", "gateway_window_cache_entries"}  # an alert's; of the cache its bytes matter


def test_a_variable_asks_for_what_there_is() -> None:
    queries = [entry["definition"] for entry in DASHBOARD["templating"]["list"] if entry["type"] == "query"]
    assert queries
    for query in queries:
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert asked is not None
        assert wrong(f"sum by ({asked[2]}) ({asked[1]})") == []


def test_a_panel_says_what_it_shows_in_which_unit() -> None:
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    assert [panel["title"] for panel in PANELS if not panel["description"]] == []
    assert [panel["title"] for panel in PANELS if not panel["fieldConfig"]["defaults"]["unit"]] == []


def test_panels_do_not_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_part_of_the_runbook(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    document, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert anchor == alert["alert"].lower()
    assert anchor in anchors(ROOT / document)


def test_every_alert_is_shown_to_fire_and_not_to_fire() -> None:
    cases = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    shown = {
        (case["alertname"], bool(case["exp_alerts"])) for test in cases for case in test.get("alert_rule_test", [])
    }
    assert shown == {(rule["alert"], fires) for rule in ALERTS for fires in (True, False)}


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    said = promtool("check", "config", "--syntax-only", "scrape.yml")
    assert "scrape.yml is valid prometheus config file syntax" in said
    assert f"SUCCESS: {len(RULES)} rules found" in promtool("check", "rules", "rules.yml")
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


def test_prometheus_understands_the_dashboard(tmp_path: Path) -> None:
    """Each of its expressions as a rule, with what Grafana puts in for its variables."""
    expressions = [target["expr"] for panel in PANELS for target in panel["targets"]]
    asked = [re.sub(r"\$\w+", ".*", text.replace("$__rate_interval", "1m")) for text in expressions]
    rules = [{"record": f"panel_{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", str(file))


def promtool(*arguments: str) -> str:
    result = subprocess.run(  # noqa: S603 - our own files
        [system_tool("promtool", package="prometheus"), *arguments],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
