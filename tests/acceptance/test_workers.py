"""`gateway serve --workers 2`: processes that serve at one address, and a parent that looks after them."""

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from tests.acceptance.conversation import Announced, Person, beginning, person_at, sent, text_of
from tests.acceptance.process import GatewayProcess, settings_for
from tests.stubs.openai_wire import Events, Gate, Hang, OpenAIStub, chunk, usage_chunk

if TYPE_CHECKING:
    from tests.postgresql import PostgreSQL

END = [chunk({"content": "whole."}), chunk({}, finish_reason="stop"), usage_chunk()]
EXIT_SECONDS = 10
"""Less than the 30 s that running turns get: a server that is idle must not wait for them."""

_PATIENCE = 20.0
"""Seconds that something that is bound to happen may take."""


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def workers_of(gateway: GatewayProcess) -> list[int]:
    """Their process ids, oldest first."""
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children")
    return sorted(map(int, children.read_text().split()))


def wait_for_both(gateway: GatewayProcess) -> None:
    """Return when two workers have joined the address: each has a socket of its own that listens there."""
    here, listening = f":{gateway.port:04X}", "0A"
    wait_until(lambda: [local[-5:] for local, _, state, _ in connections() if state == listening].count(here) == 2)


def connections() -> Iterator[tuple[str, str, str, str]]:
    """Of IPv4: local address, remote address, state and the socket's inode, as Linux shows them."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        yield fields[1], fields[2], fields[3], fields[9]


def has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def ends(gateway: GatewayProcess) -> list[Any]:
    """What the parent has logged of workers that ended."""
    return [json.loads(line) for line in gateway.log.splitlines() if '"worker ended"' in line]


class Line:
    """A connection that is kept, and so reaches the same worker always."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._key = gateway.first_keys["user"]
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=_PATIENCE)
        self.request("GET", "/healthz")
        port: int = self._connection.sock.getsockname()[1]
        [inode] = [
            inode
            for local, remote, _, inode in connections()
            if (int(local[-4:], 16), int(remote[-4:], 16)) == (gateway.port, port)
        ]
        self.worker = next(worker for worker in workers_of(gateway) if f"socket:[{inode}]" in _open_files(worker))

    def request(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        content = json.loads(response.read())
        assert response.status < 300, content
        return content

    def close(self) -> None:
        self._connection.close()


def _open_files(process: int) -> set[str]:
    return {str(file.readlink()) for file in Path(f"/proc/{process}/fd").iterdir() if file.is_symlink()}


@contextmanager
def line_to_each(gateway: GatewayProcess) -> Iterator[tuple[Line, Line]]:
    lines: dict[int, Line] = {}
    opened: list[Line] = []
    try:
        while len(lines) < 2:
            assert len(opened) < 64, "one worker gets all connections"
            opened.append(Line(gateway))
            lines.setdefault(opened[-1].worker, opened[-1])
        one, other = lines.values()
        yield one, other
    finally:
        for line in opened:
            line.close()


def two_workers(stub: OpenAIStub, **settings: Any) -> dict[str, Any]:
    return settings_for(stub, **{**settings, "server": {"workers": 2, **settings.get("server", {})}})


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/gateway.db"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.empty_database() as url:
        yield url


def test_a_conversation_goes_on_over_both(stub: OpenAIStub, tmp_path: Path, empty_database: str) -> None:
    settings = two_workers(stub, storage={"url": empty_database})
    with GatewayProcess(tmp_path, settings) as gateway:
        wait_for_both(gateway)
        assert gateway.log.count("The first keys of this database") == 1
        with line_to_each(gateway) as (one, other):
            session = one.request("POST", "/chat/sessions", {})["session_id"]
            for number in range(6):
                here, there = (one, other) if number % 2 else (other, one)
                body = {"model": "fast", "session_id": session, "messages": [{"role": "user", "content": str(number)}]}
                here.request("POST", "/v1/chat/completions", body)
                stored = there.request("GET", f"/chat/sessions/{session}/messages")["data"]
                assert [m["content"] for m in stored if m["role"] == "user"] == [str(n) for n in range(number + 1)]
        windows = [[m["content"] for m in window if m["role"] == "user"] for window in sent(stub)]
        assert windows == [[str(n) for n in range(last + 1)] for last in range(6)]
        assert gateway.stop() == 0


def test_one_worker_is_the_server_itself(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, settings_for(stub)) as gateway:
        assert workers_of(gateway) == []


def test_a_worker_that_is_killed_takes_nothing_along_that_was_acknowledged(stub: OpenAIStub, tmp_path: Path) -> None:
    turns, people = 12, 4
    with GatewayProcess(tmp_path, two_workers(stub, sessions={"lease": 2})) as gateway, person_at(gateway) as person:
        wait_for_both(gateway)
        killed, survivor = workers_of(gateway)
        sessions = [person.new_session(max_history_messages=1000) for _ in range(people)]

        def talk(session: str) -> list[str]:
            """The texts whose turns were acknowledged. What fails on the way is said again, in other words."""
            acknowledged: list[str] = []
            attempts = 0
            while len(acknowledged) < turns:
                attempts += 1
                text = f"{session}/{attempts}"
                if session == sessions[0] and len(acknowledged) == turns // 2 and not has_ended(killed):
                    os.kill(killed, signal.SIGKILL)
                try:
                    with closing(Person(gateway, person.key)) as somebody:
                        somebody.say(session, text)
                except (openai.APIConnectionError, httpx.TransportError):
                    continue
                acknowledged.append(text)
            return acknowledged

        with ThreadPoolExecutor(people) as pool:
            said = list(pool.map(talk, sessions))
        wait_for_both(gateway)

        replacement = [worker for worker in workers_of(gateway) if worker != survivor]
        assert len(replacement) == 1
        assert replacement != [killed]
        assert [end["worker"] for end in ends(gateway)] == [killed]
        for session, acknowledged in zip(sessions, said, strict=True):
            stored = [m["content"] for m in person.stored(session) if m["role"] == "user" and m["status"] == "complete"]
            assert [text for text in stored if text in acknowledged] == acknowledged
        assert gateway.stop() == 0


def test_a_worker_that_dies_again_and_again_is_replaced_later_each_time(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, two_workers(stub)) as gateway:
        for deaths in (1, 2):
            wait_for_both(gateway)
            os.kill(workers_of(gateway)[-1], signal.SIGKILL)
            wait_until(lambda: len(ends(gateway)) == deaths)  # noqa: B023 - called before the next
        wait_for_both(gateway)
        first, second = ends(gateway)
    assert first["exit_code"] == second["exit_code"] == -signal.SIGKILL
    assert 0 < first["replaced_after_s"] < second["replaced_after_s"]


def test_running_turns_of_all_workers_are_finished(stub: OpenAIStub, tmp_path: Path) -> None:
    gates = [Gate() for _ in range(6)]
    stub.reply_with(*(Events([*beginning("Half "), gate, *END]) for gate in gates))

    with GatewayProcess(tmp_path, two_workers(stub)) as gateway, person_at(gateway) as person:
        wait_for_both(gateway)
        workers = workers_of(gateway)
        streams = []
        for gate in gates:
            streams.append(person.stream(None, "Talk."))
            assert gate.wait_reached()
        gateway.terminate()
        gateway.wait_until_refusing()
        for gate in gates:
            gate.open()
        assert [text_of(stream) for stream in streams] == ["Half whole."] * len(gates)
        assert gateway.wait(EXIT_SECONDS) == 0
        assert all(map(has_ended, workers))
        assert "Traceback" not in gateway.log


def test_ctrl_c_again_waits_no_longer(stub: OpenAIStub, tmp_path: Path) -> None:
    hanging = Announced(Hang())
    stub.reply_with(hanging)

    with GatewayProcess(tmp_path, two_workers(stub)) as gateway, person_at(gateway) as person:
        wait_for_both(gateway)
        with ThreadPoolExecutor() as pool:
            reply = pool.submit(person.say, None, "Are you there?")
            hanging.wait()
            gateway.interrupt()
            gateway.wait_until_refusing()
            gateway.interrupt()
            with pytest.raises(openai.InternalServerError) as unavailable:
                reply.result()
        assert unavailable.value.code == "shutting_down"
        assert gateway.wait(EXIT_SECONDS) == 0
        assert "Traceback" not in gateway.log


def test_ctrl_c_in_a_terminal_is_said_to_the_parent_alone(stub: OpenAIStub, tmp_path: Path) -> None:
    """A terminal says it to every process of the group. Workers that heard it too would take it for the second one."""
    with GatewayProcess(tmp_path, two_workers(stub)) as gateway:
        wait_for_both(gateway)
        assert all(os.getpgid(worker) != os.getpgid(gateway.pid) for worker in workers_of(gateway))


def test_workers_do_not_outlive_their_parent(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, two_workers(stub)) as gateway:
        wait_for_both(gateway)
        workers = workers_of(gateway)
        gateway.kill()
        wait_until(lambda: all(map(has_ended, workers)))
        assert gateway.log.count("Application shutdown complete") == 2


def test_what_keeps_all_workers_from_starting_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("This is no database. " * 100)
    directory = GatewayProcess(tmp_path, {"storage": {"url": "sqlite:///broken.db"}})

    alone, together = directory.command("serve"), directory.command("serve", "--workers", "3")

    assert together.returncode == alone.returncode == 3
    assert together.stderr.count("broken.db cannot be opened") == 1
    assert "Traceback" not in together.stderr


def test_storage_in_memory_cannot_be_shared(tmp_path: Path) -> None:
    result = GatewayProcess(tmp_path, {"storage": {"url": "memory:"}}).command("serve", "--workers", "2")
    assert (result.returncode, result.stdout) == (2, "")
    assert "server.workers must be 1" in result.stderr
