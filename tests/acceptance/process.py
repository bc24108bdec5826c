"""`gateway serve` as its users run it: a process of its own, a real socket, a real database file."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import openai
import yaml

from tests.stubs.openai_wire import OpenAIStub

_START_SECONDS = 30
_REFUSE_SECONDS = 10


def settings_for(stub: OpenAIStub, **settings: Any) -> dict[str, Any]:
    """The content of a gateway.yaml whose models are served by the stub."""
    upstream = {"model": "openai/gpt-4o-mini", "api_base": stub.base_url, "api_key": "sk-provider"}
    models = [
        {"name": "fast", **upstream},
        {"name": "permissive", **upstream, "allow_params": ["x_custom"]},
        {"name": "echo", "model": "echo"},
    ]
    return {"models": models, "logging": {"format": "json"}, **settings}


class GatewayProcess:
    """Runs `gateway serve` in `directory`, with these settings over storage in that directory.

    Used as a context manager. `stop` and `start` may be called in between: the database stays.
    """

    def __init__(self, directory: Path, settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self.log_path = directory / "gateway.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(directory), **(environ or {})}
        server = {"port": self.port, **settings.get("server", {})}
        storage = {"timeout": 15, **settings.get("storage", {})}  # many tests at once: a database may take its time
        routing = settings.get("routing", {"retries": 0})  # what a stub is told to do once, a client sees
        config = {**settings, "server": server, "storage": storage, "routing": routing}
        (directory / "gateway.yaml").write_text(yaml.safe_dump(config))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def first_keys(self) -> dict[str, str]:
        """The keys that the new database was given, by the name of their user, as the first start has shown them."""
        return dict(re.findall(r"(admin|user) +(sk-gw-\w+)", self.log))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"],
                cwd=self.directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, f"gateway serve ended with {self._process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"gateway serve was not ready in {_START_SECONDS} s:\n{self.log}"
            time.sleep(0.05)

    def terminate(self) -> None:
        """Send SIGTERM, and return at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """Send what Ctrl-C sends, and return at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)

    def wait_until_refusing(self) -> None:
        """Return once nobody takes new connections any more."""
        deadline = time.monotonic() + _REFUSE_SECONDS
        while self._takes_connections():
            assert time.monotonic() < deadline, f"connections were still taken after {_REFUSE_SECONDS} s:\n{self.log}"
            time.sleep(0.05)

    def wait(self, timeout: float = 45) -> int:
        """The exit code."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> int:
        self.terminate()
        return self.wait()

    def kill(self) -> None:
        """End the process as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `gateway` command beside the server, as an operator would."""
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "gateway", *arguments],
            cwd=self.directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def create_key(self, user: str, *options: str) -> str:
        result = self.command("keys", "create", "--user", user, *options)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def sdk(self, key: str, **options: Any) -> openai.OpenAI:
        """The official SDK, without retries unless asked for."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, **{"max_retries": 0, **options})

    def http(self, key: str | None) -> httpx.Client:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running:
            self.kill()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _takes_connections(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    """One at which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
