"""config/nginx.conf between the official SDK and a gateway: only addresses and files are other ones."""

import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.acceptance.conversation import Person
from tests.acceptance.process import GatewayProcess, free_port
from tests.acceptance.test_workers import wait_until
from tests.stubs.certificate import server_context
from tests.stubs.openai_wire import Events, Gate, OpenAIStub, chunk, usage_chunk
from tests.system_tools import system_tool

SITE = (Path(__file__).parents[2] / "config" / "nginx.conf").read_text(encoding="utf-8")
AROUND = """
daemon off;
pid {place}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    include {place}/site.conf;
}}
"""


@pytest.fixture
def proxy(gateway: GatewayProcess, tmp_path: Path) -> Iterator[str]:
    """The URL of nginx in front of the gateway."""
    nginx, port = system_tool("nginx", package="nginx"), free_port()
    server_context(tmp_path)
    (tmp_path / "site.conf").write_text(site(gateway.port, port, tmp_path / "localhost.pem"))
    (tmp_path / "nginx.conf").write_text(AROUND.format(place=tmp_path))
    command = [nginx, "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - ours
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    process = subprocess.Popen(command)  # noqa: S603 - ours
    try:
        wait_until(lambda: answers(f"https://localhost:{port}/healthz"))
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)


def site(gateway: int, port: int, certificate: Path) -> str:
    """The site with the test's addresses and files."""
    changes = {
        r"server 127\.0\.0\.1:8000;": f"server 127.0.0.1:{gateway};",
        r"listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        r"/etc/nginx/tls/gateway\.(crt|key);": f"{certificate};",
        r"server_name gateway\.example\.com;": "server_name localhost;",
    }
    text = SITE
    for pattern, replacement in changes.items():
        text, count = re.subn(pattern, replacement, text)
        assert count, pattern
    return text


def client() -> httpx.Client:
    """One that does not look at who signed the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return httpx.Client(verify=context, timeout=20)


def answers(url: str) -> bool:
    try:
        with client() as http:
            return http.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_a_stream_is_not_held_back(proxy: str, stub: OpenAIStub, person: Person) -> None:
    gate = Gate()
    end = chunk({}, finish_reason="stop")
    stub.reply_with(Events([chunk({"content": "Begun, "}), gate, chunk({"content": "done."}), end, usage_chunk()]))
    with client() as http, openai.OpenAI(base_url=f"{proxy}/v1", api_key=person.key, http_client=http) as sdk:
        reply = sdk.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Hello?"}], stream=True)
        pieces = (piece.choices[0].delta.content or "" for piece in reply if piece.choices)
        assert next(piece for piece in pieces if piece) == "Begun, "
        gate.open()
        assert "".join(pieces) == "done."


def test_metrics_are_for_your_own_networks_and_large_bodies_for_nobody(proxy: str, person: Person) -> None:
    with client() as http:
        assert http.get(f"{proxy}/metrics").status_code == 401  # this machine may ask; it has no admin's key
        headers = {"authorization": f"Bearer {person.key}"}
        assert http.get(f"{proxy}/v1/models", headers=headers).status_code == 200
        refused = http.post(f"{proxy}/v1/chat/completions", content=b" " * (20 * 1024 * 1024 + 1), headers=headers)
        assert refused.status_code == 413
