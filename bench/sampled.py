"""`python -m bench.sampled FILE`: `gateway serve`, with the user time of its main thread told apart by step.

A timer on that thread's user CPU time alone, which the clock of `setitimer` is not, ticks as often as the kernel allows
(at CONFIG_HZ, 250 a second as a rule); each tick is charged to one step of a turn. CPython looks at signals between two
bytecodes. So C code that Python called is charged to its caller, which is right; C code of the loop to the loop if it
goes on to call a function, which is right too, but to the coroutine if it goes on to resume one. SIGUSR1 writes FILE.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import FrameType

_TICK_NS = 1_000_000
_THREAD_USER_CLOCK = 4 | 1
"""CPUCLOCK_PERTHREAD_MASK and CPUCLOCK_VIRT: see the kernel's include/linux/posix-timers.h."""
_SIGEV_THREAD_ID = 4


class Step(StrEnum):
    """The numbers are those of docs/architecture.md."""

    HTTP = "receive and send HTTP (uvicorn)"
    AUTHENTICATE = "1 authenticate"
    PARSE = "2 parse, validate"
    CLAIM = "claim the session, run the turn's task"
    OPEN = "3, 4 resolve the model, open the turn"
    COUNT = "5 count tokens"
    WINDOW = "5 build the window"
    CALL = "6 call the provider"
    RELAY = "7 relay and fold"
    CLOSE = "8 close the turn: build its rows"
    DELIVER = "take results from SQLite's threads"
    LOG = "the request's log line"
    LOOP = "event loop, asyncio, and the rest"


RULES = (
    ("gateway.api.middleware", "RequestLog.__call__.<locals>", Step.HTTP),
    ("gateway.api.middleware", "RequestLog", Step.LOG),
    ("gateway.api.middleware", "_fields", Step.LOG),
    ("gateway.api.middleware", "Authentication", Step.AUTHENTICATE),
    ("gateway.api.chat", "StreamingClient", Step.HTTP),
    ("gateway.api.chat", "ChatCompletions._land", Step.CLAIM),
    ("gateway.api.chat", "_note", Step.LOG),
    ("gateway.api.watching", "", Step.CLAIM),
    ("gateway.api.chat", "", Step.PARSE),
    ("gateway.api", "", Step.HTTP),
    ("gateway.app", "App.__call__", Step.HTTP),
    ("starlette", "", Step.HTTP),
    ("uvicorn.protocols", "", Step.HTTP),
    ("gateway.auth", "", Step.AUTHENTICATE),
    ("gateway.turns.opening", "Opener._turn_in", Step.WINDOW),
    ("gateway.turns.opening", "", Step.OPEN),
    ("gateway.turns.estimate", "", Step.COUNT),
    ("gateway.turns.attempts", "", Step.CALL),
    ("gateway.turns.calling", "", Step.RELAY),
    ("gateway.turns.closing", "", Step.CLOSE),
    ("gateway.turns.claims", "", Step.CLAIM),
    ("gateway.turns.queues", "", Step.CLAIM),
    ("gateway.turns.flights", "", Step.CLAIM),
    ("gateway.turns.service", "", Step.CLAIM),
    ("gateway.tokens", "", Step.COUNT),
    ("gateway.providers.models", "", Step.OPEN),
    ("gateway.providers", "", Step.CALL),
    ("gateway.wire.chat", "", Step.PARSE),
    ("gateway.wire.json", "", None),
    ("gateway.wire", "", Step.RELAY),
    ("gateway.storage.sqlite.lane", "Lane._deliver", Step.DELIVER),
    ("gateway.telemetry", "", Step.LOG),
    ("structlog", "", Step.LOG),
    ("logging", "", Step.LOG),
)
"""A module and what is in it, how the name of a function in it begins, and the step; the first rule that fits counts.

What serves several steps, as storage, history and the cache do, is in no rule or in one for None: it is its caller's.
"""


def step_of(calls: Iterable[tuple[str, str]]) -> Step:
    """That of the innermost call that belongs to one. `calls`: module and qualified name, from the inside out."""
    return next((step for call in calls if (step := _rule(*call)) is not None), Step.LOOP)


@cache
def _rule(module: str, function: str) -> Step | None:
    for of_module, of_function, step in RULES:
        if f"{module}.".startswith(f"{of_module}.") and function.startswith(of_function):
            return step
    return None


def calls_of(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    """From the inside out. A function that is still at its first line has not begun: the tick was its caller's."""
    if frame is not None and frame.f_lineno == frame.f_code.co_firstlineno:
        frame = frame.f_back
    while frame is not None:
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_qualname
        frame = frame.f_back


def _write(path: Path, ticks: Counter[Step]) -> None:
    """Seconds are of CPU time. Runs in the main thread, as handlers of signals do."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    main = threading.main_thread()
    clocks = {thread: time.pthread_getcpuclockid(thread.ident) for thread in threading.enumerate() if thread.ident}
    seconds = {thread.name: time.clock_gettime(clock) for thread, clock in clocks.items() if thread is not main}
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"ticks": ticks, "user": usage.ru_utime, "system": usage.ru_stime, "threads": seconds}))
    part.rename(path)


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_byte * 44),
    )


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", ctypes.c_long * 2), ("value", ctypes.c_long * 2))


class _Timer:
    """SIGPROF for each `nanoseconds` of user time that this thread has used. Raises OSError."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._id = ctypes.c_void_p()
        thread = threading.get_native_id()
        event = _SigEvent(None, signal.SIGPROF, _SIGEV_THREAD_ID, thread)
        self._check(
            self._libc.timer_create(~thread << 3 | _THREAD_USER_CLOCK, ctypes.byref(event), ctypes.byref(self._id))
        )

    def set(self, nanoseconds: int) -> None:
        """0 stops it."""
        spec = _TimerSpec((0, nanoseconds), (0, nanoseconds))
        self._check(self._libc.timer_settime(self._id, 0, ctypes.byref(spec), None))

    def _check(self, result: int) -> None:
        if result != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> None:
    from gateway.cli import main as gateway  # noqa: PLC0415 - rules and ticks are tested without it

    path, ticks = Path(sys.argv[1]), Counter[Step]()
    signal.signal(signal.SIGPROF, lambda _, frame: ticks.update((step_of(calls_of(frame)),)))
    signal.signal(signal.SIGUSR1, lambda *_: _write(path, ticks))
    timer = _Timer()
    timer.set(_TICK_NS)
    sys.argv = ["gateway", "serve"]
    try:
        gateway()
    finally:
        timer.set(0)  # at its end Python gives SIGPROF back its default, which is to die of it


if __name__ == "__main__":
    main()
