"""What `gateway serve` loads: nothing that its settings have no use for, since all of it takes time and memory."""

import re
from pathlib import Path

from tests.acceptance.conversation import person_at
from tests.acceptance.process import GatewayProcess, settings_for
from tests.stubs.openai_wire import OpenAIStub


def test_what_is_not_needed_is_never_imported(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, settings_for(stub), {"PYTHONPROFILEIMPORTTIME": "1"}) as gateway:
        assert "alembic" in imported(gateway.log), "this is how one sees what is imported, and a new database needs it"
        gateway.stop()
        first = gateway.log
        gateway.start()
        with person_at(gateway) as person:
            person.say(person.new_session(), "Hello?")
        second = imported(gateway.log.removeprefix(first))
    assert "gateway" in second
    assert not second & {"litellm", "openai", "httpx", "asyncpg", "alembic", "mako"}


def imported(log: str) -> set[str]:
    """The packages that Python has reported loading."""
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\w+)", log, flags=re.MULTILINE))
