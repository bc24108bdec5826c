"""Stopping: nothing new is taken, what runs is finished or stored as far as it came, and the exit code is 0."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from tests.acceptance.conversation import Announced, beginning, person_at, text_of
from tests.acceptance.process import GatewayProcess, settings_for
from tests.stubs.openai_wire import Events, Gate, Hang, OpenAIStub, chunk, usage_chunk

END = [chunk({"content": "whole."}), chunk({}, finish_reason="stop"), usage_chunk()]
EXIT_SECONDS = 10
"""Less than the 30 s that running turns get: a server that is idle must not wait for them."""


def test_a_running_stream_is_finished(stub: OpenAIStub, tmp_path: Path) -> None:
    gate = Gate()
    stub.reply_with(Events([*beginning("Half "), gate, *END]))

    with GatewayProcess(tmp_path, settings_for(stub)) as gateway, person_at(gateway) as person:
        session = person.new_session()
        with person.stream(session, "Talk.") as stream:
            assert gate.wait_reached()
            gateway.terminate()
            gateway.wait_until_refusing()
            gate.open()
            assert text_of(stream) == "Half whole."
        assert gateway.wait(EXIT_SECONDS) == 0

        gateway.start()
        assert person.statuses(session) == [("user", "complete"), ("assistant", "complete")]
        assert person.stored(session)[1]["content"] == "Half whole."


def test_turns_that_do_not_end_in_time_are_cut_short_and_stored(stub: OpenAIStub, tmp_path: Path) -> None:
    settings = settings_for(stub, server={"shutdown_timeout": 1})
    gate = Gate()
    hanging = Announced(Hang())
    stub.reply_with(Events([*beginning("Half "), gate, *END]), hanging)

    with (
        GatewayProcess(tmp_path, settings) as gateway,
        person_at(gateway) as person,
        ThreadPoolExecutor() as pool,
    ):
        streamed, whole = person.new_session(), person.new_session()
        stream = person.stream(streamed, "Talk.")
        assert gate.wait_reached()
        reply = pool.submit(person.say, whole, "Are you there?")
        hanging.wait()
        queued = pool.submit(person.say, whole, "And now?")
        person.say(None, "Is the other call in?", model="echo")

        gateway.terminate()

        with pytest.raises(openai.APIError) as broken_off:
            list(stream)
        for refused in (reply, queued):
            with pytest.raises(openai.InternalServerError) as unavailable:
                refused.result()
            assert unavailable.value.status_code == 503
            assert unavailable.value.code == "shutting_down"
            assert "retry-after" in unavailable.value.response.headers
        assert broken_off.value.code == "shutting_down"
        assert gateway.wait(EXIT_SECONDS) == 0
        assert all(request.wait_client_gone() for request in stub.requests)

        gateway.start()
        assert person.statuses(streamed) == [("user", "incomplete"), ("assistant", "incomplete")]
        assert person.stored(streamed)[1]["content"] == "Half "
        assert person.statuses(whole) == [("user", "failed")]


def test_an_idle_server_stops_at_once(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, settings_for(stub)) as gateway, person_at(gateway) as person:
        person.say(None, "Hello?")  # its connection stays open
        gateway.terminate()
        assert gateway.wait(EXIT_SECONDS) == 0


def test_ctrl_c_is_a_way_to_stop_and_not_a_failure(stub: OpenAIStub, tmp_path: Path) -> None:
    gate = Gate()
    stub.reply_with(Events([*beginning("Half "), gate, *END]))

    with GatewayProcess(tmp_path, settings_for(stub)) as gateway, person_at(gateway) as person:
        with person.stream(None, "Talk.") as stream:
            assert gate.wait_reached()
            gateway.interrupt()
            gateway.wait_until_refusing()
            gate.open()
            assert text_of(stream) == "Half whole."
        assert gateway.wait(EXIT_SECONDS) == 0
        assert "Traceback" not in gateway.log


def test_ctrl_c_again_waits_no_longer(stub: OpenAIStub, tmp_path: Path) -> None:
    hanging = Announced(Hang())
    stub.reply_with(hanging)

    with GatewayProcess(tmp_path, settings_for(stub)) as gateway, person_at(gateway) as person:
        session = person.new_session()
        with ThreadPoolExecutor() as pool:
            reply = pool.submit(person.say, session, "Are you there?")
            hanging.wait()
            gateway.interrupt()
            gateway.wait_until_refusing()
            gateway.interrupt()
            with pytest.raises(openai.InternalServerError) as unavailable:
                reply.result()
        assert gateway.wait(EXIT_SECONDS) == 0
        assert unavailable.value.code == "shutting_down"
        assert "Traceback" not in gateway.log

        gateway.start()
        assert person.statuses(session) == [("user", "failed")]
