"""Every test here runs on both event loops: they write, close and speak TLS each in their own way.

A server runs on uvloop; on platforms without it, and in most tests, on asyncio's.
"""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
