"""The examples for systemd, Compose and Kubernetes name what there is, and leave running turns their time."""

import configparser
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.api.middleware import PUBLIC
from gateway.settings import Settings, load_settings, parse_settings
from tests.system_tools import system_tool

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"

COMPOSE: dict[str, Any] = yaml.safe_load((CONFIG / "compose.yaml").read_text())
KUBERNETES: dict[str, dict[str, Any]] = {
    document["kind"]: document for document in yaml.safe_load_all((CONFIG / "kubernetes.yaml").read_text())
}
POD: dict[str, Any] = KUBERNETES["Deployment"]["spec"]["template"]["spec"]
IMAGE = (ROOT / "Dockerfile").read_text()
[PORT] = map(int, re.findall(r"^EXPOSE (\d+)$", IMAGE, re.MULTILINE))

NEEDED = parse_settings({}).server.shutdown_timeout + 5
"""Seconds that a stop takes at most: running turns, and what is stored after them."""


def seconds(text: str) -> float:
    assert re.fullmatch(r"\d+s?", text)
    return float(text.removesuffix("s"))


def settings_of(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, file: Path | None = None) -> Settings:
    """What the gateway makes of this environment, which names no setting that there is not."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return parse_settings({}) if file is None else load_settings(file)


# ── The image ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["Dockerfile", "docs/install.md"])
def test_docker_is_told_to_give_running_turns_their_time(name: str) -> None:
    """By the short name of the option: the long one is --time or --timeout, as old as Docker is."""
    [stop] = re.findall(r"docker stop ([^`\n]+)", (ROOT / name).read_text())
    [wait] = re.findall(r"^-t (\d+)\b", stop)
    assert seconds(wait) >= NEEDED


# ── Compose ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_compose_passes_settings_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    given = COMPOSE["services"]["gateway"]["environment"]
    environ = {name: re.sub(r"\$\{\w+:[?-]\}", "secret", value) for name, value in given.items()}
    settings = settings_of(environ, monkeypatch)
    assert settings.storage.url == "postgresql://gateway:secret@postgres:5432/gateway"
    hosts = re.findall(r"(?:@|//)([a-z]+):\d+", " ".join(environ.values()))
    assert sorted(hosts) == ["postgres", "valkey"]
    assert set(hosts) <= set(COMPOSE["services"])


def test_compose_reaches_the_gateway_from_this_machine_alone() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert f"127.0.0.1:8000:{PORT}" in ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_compose_mounts_what_there_is() -> None:
    mounts = [volume.split(":") for service in COMPOSE["services"].values() for volume in service.get("volumes", ())]
    for source, target, *_ in mounts:
        if source.startswith("./"):
            made_by_hand = source == "./prometheus/admin-key"
            assert made_by_hand or (CONFIG / source).is_file(), source
        else:
            assert source in COMPOSE["volumes"], source
        assert target.startswith("/")
    scraped = yaml.safe_load((CONFIG / "prometheus" / "scrape.yml").read_text())["scrape_configs"][0]
    assert scraped["authorization"]["credentials_file"] in [target for _, target, *_ in mounts]
    assert scraped["static_configs"][0]["targets"] == [f"gateway:{PORT}"]


def test_compose_keeps_what_prometheus_writes() -> None:
    service = COMPOSE["services"]["prometheus"]
    [kept] = [target for source, target in (volume.split(":")[:2] for volume in service["volumes"]) if source[0] != "."]
    assert f"--storage.tsdb.path={kept}" in service["command"]


def test_compose_configures_grafana() -> None:
    wanted = {entry["source"] for entry in COMPOSE["services"]["grafana"]["configs"]}
    assert wanted == set(COMPOSE["configs"])
    [source] = yaml.safe_load(COMPOSE["configs"]["datasources"]["content"])["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load(COMPOSE["configs"]["dashboards"]["content"])["providers"]
    assert (
        f"./grafana/gateway.json:{provider['options']['path']}/gateway.json:ro"
        in (COMPOSE["services"]["grafana"]["volumes"])
    )


def test_compose_gives_running_turns_their_time() -> None:
    assert seconds(COMPOSE["services"]["gateway"]["stop_grace_period"]) >= NEEDED


# ── Kubernetes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_kubernetes_passes_settings_that_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [container] = POD["containers"]
    [env] = container["env"]
    assert env["name"] == "GATEWAY_CONFIG"
    [mount] = container["volumeMounts"]
    assert [volume["name"] for volume in POD["volumes"]] == [mount["name"]]
    [(name, content)] = KUBERNETES["ConfigMap"]["data"].items()
    assert env["value"] == f"{mount['mountPath']}/{name}"
    (tmp_path / name).write_text(content)
    settings = settings_of(KUBERNETES["Secret"]["stringData"], monkeypatch, tmp_path / name)
    assert settings.storage.url.startswith("postgresql://")
    assert settings.auth.pepper_text is not None
    assert [model.name for model in settings.models] == ["fast"]


def test_kubernetes_names_what_it_makes() -> None:
    [container] = POD["containers"]
    named = {KUBERNETES[kind]["metadata"]["name"] for kind in ("Secret", "ConfigMap")}
    assert [entry["secretRef"]["name"] for entry in container["envFrom"]] == ["gateway"]
    assert [volume["configMap"]["name"] for volume in POD["volumes"]] == ["gateway"]
    assert named == {"gateway"}
    labels = KUBERNETES["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert KUBERNETES["Service"]["spec"]["selector"] == labels
    assert KUBERNETES["Deployment"]["spec"]["selector"]["matchLabels"] == labels


def test_kubernetes_asks_where_the_gateway_answers() -> None:
    [container] = POD["containers"]
    [port] = container["ports"]
    assert port == {"name": "http", "containerPort": PORT}
    [served] = KUBERNETES["Service"]["spec"]["ports"]
    assert served["targetPort"] == port["name"]
    asked = {kind: container[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe", "startupProbe")}
    assert {probe["port"] for probe in asked.values()} == {port["name"]}
    paths = {kind: probe["path"] for kind, probe in asked.items()}
    assert paths == {"livenessProbe": "/healthz", "readinessProbe": "/readyz", "startupProbe": "/healthz"}
    assert set(paths.values()) <= PUBLIC


def test_kubernetes_gives_running_turns_their_time() -> None:
    [container] = POD["containers"]
    pause = seconds(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["terminationGracePeriodSeconds"] >= pause + NEEDED


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as its documentation says
    parser.read_string((CONFIG / "systemd" / "gateway.service").read_text())
    return parser["Service"]


def test_systemd_runs_the_gateway() -> None:
    service = unit()
    assert service["ExecStart"] == "/opt/gateway/bin/gateway serve"
    assert service["ExecStartPre"] == "/opt/gateway/bin/gateway config check"
    assert seconds(service["TimeoutStopSec"]) >= NEEDED
    assert service["KillMode"] == "mixed"  # or workers would get the signal twice: their parent stops them


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    tool = system_tool("systemd-analyze", package="systemd")
    here = tmp_path / "gateway.service"
    text = (CONFIG / "systemd" / "gateway.service").read_text()
    here.write_text(text.replace("/opt/gateway/bin/gateway", "/bin/true"))  # it wants the program to be there
    result = subprocess.run(  # noqa: S603 - ours
        [tool, "verify", str(here)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
