"""Does an installed `gateway` work at all? Start it in an empty directory, make a key, get one reply, stop it.

Run it with the Python of the environment that the command is installed in. It needs the standard library alone, and
exits with 0, or with what went wrong.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GATEWAY = str(Path(sys.executable).with_name("gateway"))
START_SECONDS = 60
STOP_SECONDS = 60
PROMPT = "Is anybody there?"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, method: str, path: str, *, key: str = "", body: Any = None) -> tuple[int, str]:
    """One request: the answer's status and text. Raises OSError where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request(method, path, body=json.dumps(body), headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def is_healthy(port: int) -> bool:
    try:
        return ask(port, "GET", "/healthz")[0] == 200
    except OSError:
        return False


def wait_until_healthy(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_healthy(port):
        if server.poll() is not None:
            sys.exit(f"gateway serve ended with {server.returncode} instead of serving")
        if time.monotonic() > deadline:
            sys.exit(f"gateway serve was not healthy within {START_SECONDS} s")
        time.sleep(0.1)


def chat(port: int, env: dict[str, str]) -> None:
    """Make a key while the server runs, and talk to the built-in model with it."""
    create = [GATEWAY, "keys", "create", "--user", "smoke"]
    key = subprocess.run(create, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()  # noqa: S603 - our own command
    request = {"model": "echo", "messages": [{"role": "user", "content": PROMPT}]}
    status, text = ask(port, "POST", "/v1/chat/completions", key=key, body=request)
    if status != 200 or PROMPT not in json.loads(text)["choices"][0]["message"]["content"]:
        sys.exit(f"the echo model answered {status}: {text}")


def main() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        env["GATEWAY_SERVER__PORT"] = str(port)
        server = subprocess.Popen([GATEWAY, "serve"], env=env)  # noqa: S603 - our own command
        try:
            wait_until_healthy(port, server)
            chat(port, env)
            server.terminate()
            if code := server.wait(STOP_SECONDS):
                sys.exit(f"gateway serve ended with {code} after SIGTERM")
        finally:
            server.kill()
    sys.stdout.write("smoke test passed\n")


if __name__ == "__main__":
    main()
