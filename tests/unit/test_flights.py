"""A turn's wait can be ended; its writing cannot, and its task is as good as new afterwards."""

import asyncio
import gc
from contextlib import suppress

import pytest

from gateway.errors import ClientDisconnected, GatewayError, ShuttingDown
from gateway.turns.flights import Flight, Flights, Interrupted

LONG = 3600.0


class Probe:
    """A turn that waits, then writes, as far as the test lets it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_wait = asyncio.Event()
        self.waits = asyncio.Event()
        self.answer = asyncio.Event()
        self.writes = asyncio.Event()
        self.written = asyncio.Event()
        self.interrupted: GatewayError | None = None

    async def run(self, flight: Flight[str]) -> str:
        self.begun.set()
        await self.may_wait.wait()
        try:
            async with flight.waiting():
                self.waits.set()
                await self.answer.wait()
        except Interrupted as exc:
            self.interrupted = exc.reason
        self.writes.set()
        await self.written.wait()
        return "stored"

    def go_on(self) -> None:
        for gate in (self.may_wait, self.answer, self.written):
            gate.set()


async def test_a_turn_that_nobody_interrupts_returns_its_result() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    probe.go_on()
    assert await flight.task == "stored"
    assert probe.interrupted is None


async def test_an_error_of_the_turn_is_that_of_its_task() -> None:
    async def fail(flight: Flight[str]) -> str:
        async with flight.waiting():
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await Flights().launch(fail).task


# ── waiting for one ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_whoever_waits_for_a_turn_gets_its_result_during_it_and_after_it() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    waiting = asyncio.create_task(flight.landed())
    await probe.begun.wait()
    probe.go_on()
    assert await waiting == "stored"
    assert await flight.landed() == "stored"


async def test_whoever_waits_for_a_turn_that_was_cancelled_is_told() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    waiting = asyncio.create_task(flight.landed())
    await asyncio.sleep(0)
    flight.task.cancel()  # before it has run at all
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_an_error_is_unheard_if_the_wait_is_cancelled_in_the_same_pass() -> None:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    may_fail = asyncio.Event()

    async def fail(_: Flight[str]) -> str:
        await may_fail.wait()
        raise ValueError("mine")

    flight = Flights().launch(fail)
    waiting = asyncio.create_task(flight.landed())

    def cancel(_: object, waiting: asyncio.Task[str] = waiting) -> None:
        waiting.cancel()

    flight.task.add_done_callback(cancel)  # after the flight's own: the waiter is to be woken
    await asyncio.sleep(0)
    may_fail.set()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    del flight, waiting, cancel
    gc.collect()
    assert complaints == []


async def test_cancelling_the_wait_leaves_the_turn_alone_and_its_error_unheard() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    may_fail = asyncio.Event()

    async def fail(_: Flight[str]) -> str:
        await may_fail.wait()
        raise ValueError("mine")

    flights = Flights()
    flight = flights.launch(fail)
    waiting = asyncio.create_task(flight.landed())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert not flight.task.done()
    may_fail.set()
    await asyncio.wait([flight.task])
    assert len(flights) == 0
    del flight, waiting
    gc.collect()
    assert complaints == []


# ── interrupting ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_wait_is_cut_short_and_the_turn_goes_on() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    probe.may_wait.set()
    await probe.waits.wait()
    reason = ClientDisconnected()
    flight.interrupt(reason)
    await probe.writes.wait()
    assert probe.interrupted is reason
    probe.written.set()
    assert await flight.task == "stored"


async def test_an_interruption_before_the_wait_ends_it_as_it_begins() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    await probe.begun.wait()
    reason = ClientDisconnected()
    flight.interrupt(reason)
    probe.go_on()
    assert await flight.task == "stored"
    assert probe.interrupted is reason
    assert not probe.waits.is_set()


async def test_an_interruption_before_the_task_has_run_at_all_waits_for_the_wait() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    flight.interrupt(ClientDisconnected())
    probe.go_on()
    assert await flight.task == "stored"
    assert isinstance(probe.interrupted, ClientDisconnected)


async def test_writing_is_not_interrupted() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    probe.may_wait.set()
    probe.answer.set()
    await probe.writes.wait()
    flight.interrupt(ClientDisconnected())
    probe.written.set()
    assert await flight.task == "stored"
    assert probe.interrupted is None


async def test_a_turn_that_is_over_can_be_interrupted_without_harm() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    probe.go_on()
    await flight.task
    flight.interrupt(ClientDisconnected())
    assert flight.task.result() == "stored"


async def test_the_first_reason_counts() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    probe.may_wait.set()
    await probe.waits.wait()
    first = ClientDisconnected()
    flight.interrupt(first)
    flight.interrupt(ShuttingDown())
    probe.go_on()
    assert await flight.task == "stored"
    assert probe.interrupted is first


async def test_an_answer_that_came_as_the_wait_was_cut_short_is_not_waited_for() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    probe.may_wait.set()
    await probe.waits.wait()
    probe.answer.set()
    flight.interrupt(ClientDisconnected())
    probe.written.set()
    assert await flight.task == "stored"
    assert isinstance(probe.interrupted, ClientDisconnected)


async def test_what_the_wait_cleans_up_is_cleaned_up() -> None:
    waits, closed = asyncio.Event(), asyncio.Event()

    async def run(flight: Flight[bool]) -> bool:
        with suppress(Interrupted):
            async with flight.waiting():
                try:
                    waits.set()
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0)
                    closed.set()
        return closed.is_set()

    flight = Flights().launch(run)
    await waits.wait()
    flight.interrupt(ClientDisconnected())
    assert await flight.task


async def test_the_task_is_healthy_after_an_interruption() -> None:
    waits = asyncio.Event()

    async def run(flight: Flight[int]) -> int:
        with suppress(Interrupted):
            async with flight.waiting():
                waits.set()
                await asyncio.Event().wait()
        async with asyncio.timeout(LONG):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        return flight.task.cancelling()

    flight = Flights().launch(run)
    await waits.wait()
    flight.interrupt(ClientDisconnected())
    assert await flight.task == 0


async def test_a_later_wait_of_an_interrupted_turn_does_not_begin() -> None:
    waits = asyncio.Event()

    async def run(flight: Flight[str]) -> str:
        with suppress(Interrupted):
            async with flight.waiting():
                waits.set()
                await asyncio.Event().wait()
        async with flight.waiting():
            return "waited again"

    flight = Flights().launch(run)
    await waits.wait()
    flight.interrupt(ClientDisconnected())
    with pytest.raises(Interrupted, match="closed the connection"):
        await flight.task


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_cancelling_the_task_itself_is_not_swallowed() -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    probe.may_wait.set()
    await probe.waits.wait()
    flight.task.cancel()
    probe.go_on()
    await asyncio.wait([flight.task])
    assert flight.task.cancelled()


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_cancelling_a_task_that_is_interrupted_too_is_not_swallowed(cancelled_first: bool) -> None:
    probe = Probe()
    flight = Flights().launch(probe.run)
    probe.may_wait.set()
    await probe.waits.wait()
    if cancelled_first:
        flight.task.cancel()
    flight.interrupt(ClientDisconnected())
    if not cancelled_first:
        flight.task.cancel()
    probe.go_on()
    await asyncio.wait([flight.task])
    assert flight.task.cancelled()
    assert probe.interrupted is None


# ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_flights_are_counted_while_they_last() -> None:
    flights = Flights()
    probes = [Probe(), Probe()]
    launched = [flights.launch(probe.run) for probe in probes]
    assert len(flights) == 2
    for probe, flight in zip(probes, launched, strict=True):
        probe.go_on()
        await flight.task
    await asyncio.sleep(0)
    assert len(flights) == 0


async def test_draining_waits_for_those_that_end_in_time() -> None:
    flights, probe = Flights(), Probe()
    flight = flights.launch(probe.run)
    probe.may_wait.set()
    await probe.waits.wait()
    draining = asyncio.create_task(flights.drain(LONG))
    await asyncio.sleep(0)
    assert not draining.done()
    probe.go_on()
    await draining
    assert flight.task.result() == "stored"
    assert probe.interrupted is None


async def test_draining_interrupts_those_that_do_not_and_has_them_store_what_they_have() -> None:
    flights, probe = Flights(), Probe()
    flight = flights.launch(probe.run)
    probe.may_wait.set()
    probe.written.set()
    await probe.waits.wait()
    await flights.drain(0)
    assert flight.task.result() == "stored"
    assert isinstance(probe.interrupted, ShuttingDown)


async def test_draining_when_nothing_flies_ends_at_once() -> None:
    flights = Flights()
    await flights.drain(LONG)
    assert len(flights) == 0


async def test_no_turn_is_launched_once_draining_has_begun() -> None:
    flights, probe = Flights(), Probe()
    flights.launch(probe.run)
    draining = asyncio.create_task(flights.drain(LONG))
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        flights.launch(Probe().run)
    assert len(flights) == 1
    probe.go_on()
    await draining
