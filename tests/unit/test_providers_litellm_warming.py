"""That a server's first call through litellm has nothing left to load. In a process of its own: here all is loaded."""

import json
import subprocess
import sys

import pytest

from tests.stubs.anthropic_wire import AnthropicStub, run_in_thread
from tests.stubs.gemini_wire import GeminiStub
from tests.stubs.server import StubServer

FIRST_CALLS = """
import asyncio, json, sys
from tiktoken.registry import ENCODINGS
from gateway.domain import Via
from gateway.providers.litellm_adapter import LitellmProvider
from gateway.providers.transport import Transport
from tests.contract.provider_calls import call, deployment

async def main(provider, model, base_url):
    adapter = LitellmProvider(Transport(max_connections=10))
    await adapter.start()
    before = set(sys.modules)
    target = deployment(Via.LITELLM, base_url, provider=provider, model=model)
    await adapter.complete(call(target))
    await (await adapter.stream(call(target))).aclose()
    await adapter.aclose()
    print(json.dumps({"imported": sorted(set(sys.modules) - before), "encodings": list(ENCODINGS)}))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("kind", "provider", "model"),
    [(AnthropicStub, "anthropic", "claude-haiku-4-5"), (GeminiStub, "gemini", "gemini-2.5-pro")],
    ids=["anthropic", "gemini"],
)
def test_the_first_calls_import_nothing_and_load_no_encoding(kind: type[StubServer], provider: str, model: str) -> None:
    with run_in_thread(kind()) as stub:
        command = [sys.executable, "-c", FIRST_CALLS, provider, model, stub.origin]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"imported": [], "encodings": []}
