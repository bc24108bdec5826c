"""The gateways that are measured, each as its own documentation says it is started, in its fastest form.

Every one of them is asked for the model `gpt-4o-mini`, which stands for the upstream that it was made with.
"""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import BenchFailed
from bench.addresses import free_port

MODEL = "gpt-4o-mini"
USER = "bench"
"""Whose key the load carries, and whose sessions it goes to."""

OURS, FERROGW, LITELLM, PORTKEY = "gateway", "ferrogw", "LiteLLM proxy", "Portkey"

PEERS = Path("bench/.peers").resolve()
_PEERS_BIN = PEERS / "python" / "bin"
_PORTKEY = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


@dataclass(frozen=True, slots=True)
class Target:
    """How a server is started, and spoken to."""

    name: str
    command: tuple[str, ...]
    directory: Path
    port: int
    ready_path: str
    environ: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.directory / "output.log"


@dataclass(frozen=True, slots=True)
class Missing:
    """A peer that cannot be measured here, and why."""

    name: str
    why: str


def gateway(directory: Path, upstream: str, **settings: Any) -> Target:
    """Ours: every setting at its default but for the model, the port, JSON logs, and what `settings` names."""
    port = free_port()
    server = {"port": port, **settings.pop("server", {})}
    config = {"server": server, "logging": {"format": "json"}, "models": [model_entry(upstream)], **settings}
    directory.mkdir(parents=True)
    (directory / "gateway.yaml").write_text(yaml.safe_dump(config))
    environ = _environ(HOME=str(directory))
    return Target(
        OURS,
        (sys.executable, "-m", "gateway", "serve"),
        directory,
        port,
        "/readyz",
        environ,
        _headers(_create_key(directory, environ)),
    )


def model_entry(upstream: str, **entry: str) -> dict[str, str]:
    """Of gateway.yaml."""
    standard = {"name": MODEL, "model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "sk-upstream"}
    return {**standard, **entry}


def ferrogw(directory: Path, upstream: str) -> Target | Missing:
    """Its defaults, with the limit on requests off. GOMAXPROCS is what it would find on a machine of one core."""
    program = _PEERS_BIN / "ferrogw"
    if not program.exists():
        return Missing(FERROGW, "not installed: make bench/.peers/.installed")
    port, key = free_port(), f"fgw_{secrets.token_hex(16)}"
    directory.mkdir(parents=True)
    environ = _environ(
        MASTER_KEY=key,
        OPENAI_API_KEY="sk-upstream",
        OPENAI_BASE_URL=upstream,
        GATEWAY_CONFIG="config.yaml",
        PORT=str(port),
        RATE_LIMIT_RPS="0",
        GOMAXPROCS="1",
    )
    _run((str(program), "init", "--non-interactive"), directory, environ)
    return Target(FERROGW, (str(program), "serve"), directory, port, "/readyz", environ, _headers(key))


def litellm_proxy(directory: Path, upstream: str) -> Target | Missing:
    """One worker and no database, which is its fastest form."""
    program = _PEERS_BIN / "litellm"
    if not program.exists():
        return Missing(LITELLM, "not installed: make bench/.peers/.installed")
    port, key = free_port(), f"sk-{secrets.token_hex(16)}"
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "sk-upstream"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": key},
    }
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    options = ("--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    # Else its start waits for a price list from the network.
    environ = _environ(LITELLM_LOCAL_MODEL_COST_MAP="True", HOME=str(directory))
    return Target(LITELLM, (str(program), *options), directory, port, "/health/readiness", environ, _headers(key))


def portkey(directory: Path, upstream: str) -> Target | Missing:
    """Headless: without the console that keeps a copy of every request for its page. It checks no key."""
    node = shutil.which("node")
    if node is None:
        return Missing(PORTKEY, "no Node")
    if not _PORTKEY.exists():
        return Missing(PORTKEY, "not installed: make bench/.peers/.installed")
    port = free_port()
    directory.mkdir(parents=True)
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1", **_headers("sk-upstream")}
    command = (node, str(_PORTKEY), f"--port={port}", "--headless")
    return Target(PORTKEY, command, directory, port, "/", _environ(NODE_ENV="production"), headers)


def _headers(key: str) -> dict[str, str]:
    return {"content-type": "application/json", "authorization": f"Bearer {key}"}


def _environ(**variables: str) -> dict[str, str]:
    """A bare environment: no proxy, key or setting of whoever runs this may change a figure."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **variables}


def _create_key(directory: Path, environ: Mapping[str, str]) -> str:
    """Of a user's. Makes the database too, so that a start that is timed does not."""
    return _run((sys.executable, "-m", "gateway", "keys", "create", "--user", USER), directory, environ).strip()


def _run(command: tuple[str, ...], directory: Path, environ: Mapping[str, str]) -> str:
    result = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=directory, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise BenchFailed(f"{' '.join(command)} failed: {result.stdout}{result.stderr}")
    return result.stdout
