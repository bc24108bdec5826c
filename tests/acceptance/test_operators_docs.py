"""The commands of install.md, upgrade.md and runbook.md in docs/, as they stand; those of backup.md: test_backup.py."""

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from tests.acceptance.conversation import Person, person_at
from tests.acceptance.pages import ROOT, Page, run
from tests.acceptance.process import GatewayProcess, settings_for
from tests.acceptance.test_backup import postgresql_programs
from tests.documents import blocks
from tests.postgresql import PostgreSQL
from tests.stubs.openai_wire import Json, OpenAIStub, error

PAGES = ("install.md", "backup.md", "upgrade.md", "runbook.md")

ELSEWHERE = re.compile(
    r"docker |systemctl |journalctl |useradd |install -|cp config/systemd|runuser "
    r"|python3 -m venv |/opt/gateway/bin/pip "
)
"""Commands of what tests cannot have."""


@pytest.mark.parametrize("page", PAGES)
def test_only_what_cannot_be_run_here_is_not_run(page: str) -> None:
    for block in blocks(ROOT / "docs" / page):
        assert block.language in {"sh", "console", "ini"}
        if block.language == "console":
            lines = block.code.splitlines()
            assert [line for line in lines if not line.startswith("$ ") or not ELSEWHERE.match(line, 2)] == []


def test_install(postgresql: PostgreSQL, tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, {}, {"OPENAI_API_KEY": "none"})
    environ = {"GATEWAY_URL": gateway.url}
    with Page("install.md") as page, postgresql.empty_database() as url:
        assert "gateway.yaml is valid. Models: 2" in run(page.take("On a machine"), tmp_path).stderr
        settings = yaml.safe_load((tmp_path / "gateway.yaml").read_text())
        (tmp_path / "gateway.yaml").write_text(yaml.safe_dump({**settings, "server": {"port": gateway.port}}))
        environ["OPENAI_API_KEY"] = "none"
        keys = run(f"{page.take('First keys')}\necho $ADMIN_KEY $KEY", tmp_path, environ).stdout.split()[-2:]
        environ["ADMIN_KEY"], environ["KEY"] = keys
        with gateway:
            said = run(page.take("First keys"), tmp_path, environ).stdout
            assert gateway.first_keys == {}
        assert '{"status":"ready"}' in said
        assert "Hello?" in said
        assert '"name":"alice"' in said
        assert 'gateway_turns_total{model="echo",provider="echo",status="complete",stream="false"} 1.0' in said
        upgraded = run(page.take("PostgreSQL"), tmp_path, {**environ, "POSTGRES_URL": url}).stderr
        assert "upgraded from nothing" in upgraded
        assert "can be used" in upgraded


def test_upgrade(stub: OpenAIStub, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, settings_for(stub)) as gateway, Page("upgrade.md") as page:
        gateway.create_key("alice")
        before = run(page.take("Upgrading"), tmp_path).stdout
        assert re.fullmatch(r"[\d.]+\n\d{4}\n", before)
        assert run(page.take("Upgrading"), tmp_path).stdout.startswith("BEGIN;")
        after = run(page.take("Upgrading"), tmp_path, {"GATEWAY_URL": gateway.url})
        assert "can be used" in after.stderr
        assert after.stdout == '{"status":"ready"}'
        for _ in range(2):
            page.take("Going back")  # below


def test_going_back(stub: OpenAIStub, tmp_path: Path) -> None:
    """Export, the backup from before, import: what is new since comes back, what was there stays as it was."""
    backup, page = Page("backup.md"), Page("upgrade.md")
    with GatewayProcess(tmp_path, settings_for(stub)) as gateway:
        with closing(Person(gateway, gateway.create_key("alice"))) as alice:
            kept = alice.new_session(session_name="Kept")
            alice.say(kept, "One.", model="echo")
            before = lines_of(gateway)
            run(backup.take("SQLite"), tmp_path)
            alice.say(kept, "Said since.", model="echo")
            since = alice.new_session(
                session_name="New", system_prompt="Be brief.", metadata={"a": [1]}, ttl_seconds=99
            )
            for said in ("Two.", "Three.", "Four."):
                alice.say(since, said, model="echo")
            assert alice.http.post(f"/chat/sessions/{since}/archive").status_code == 200
        with closing(Person(gateway, gateway.create_key("bob"))) as bob:
            bobs = bob.new_session()
            bob.say(bobs, "Mine.", model="echo")
            after = lines_of(gateway)
            run(page.take("Going back"), tmp_path)
            gateway.stop()
            run(backup.take("Restore SQLite"), tmp_path)
            bring_back = page.take("Going back")
            told = "Imported 2 sessions with 8 messages; 1 were there already; 0 lines could not be imported."
            assert told in run(bring_back, tmp_path).stderr
            gateway.start()
            assert "Imported 0 sessions with 0 messages; 3 were there already" in run(bring_back, tmp_path).stderr
            assert bob.http.get("/chat/sessions").status_code == 401

        assert before.keys() == {kept}
        assert after.keys() == {kept, since, bobs}
        assert after[kept] != before[kept]
        assert lines_of(gateway) == {**after, **before}
        with closing(Person(gateway, gateway.create_key("bob"))) as again:
            assert [session["session_id"] for session in again.http.get("/chat/sessions").json()["data"]] == [bobs]


def lines_of(gateway: GatewayProcess) -> dict[str, str]:
    """What an export says of each session, by id."""
    exported = gateway.command("sessions", "export")
    assert exported.returncode == 0, exported.stderr
    return {json.loads(line)["session_id"]: line for line in exported.stdout.splitlines()}


def test_runbook(stub: OpenAIStub, postgresql: PostgreSQL, tmp_path: Path) -> None:
    settings = settings_for(stub, sessions={"lock_timeout": 0.2})
    with GatewayProcess(tmp_path, settings) as gateway, Page("runbook.md") as page:
        leaked = Person(gateway, gateway.create_key("alice"))
        with person_at(gateway, "admin") as admin, leaked.http:
            request_id = fail(stub, leaked)
            [key] = admin.http.get("/admin/keys", params={"user": "alice"}).json()["data"]
            environ = {
                "GATEWAY_URL": gateway.url,
                "ADMIN_KEY": gateway.first_keys["admin"],
                "REQUEST_ID": request_id,
                "MODEL": "fast",
                "KEY_ID": key["id"],
            }

            def look(heading: str) -> str:
                done = run(page.take(heading), tmp_path, environ)
                return done.stdout + done.stderr

            assert '{"status":"ok"}{"status":"ready"}' in look("How to look")
            assert look("How to look").count(request_id) == 2
            assert look("GatewayDown") == "200\n"
            assert "can be used" in look("GatewayStorageUnavailable")
            assert request_id in look("GatewayProviderFailing")
            assert look("GatewayDeploymentLeftAlone") == ""  # nothing is
            look("GatewayPhaseSlow")
            look("GatewayLockWaitsLong")
            with postgresql.migrated_database() as url:
                held = run(page.take("GatewayLockWaitsLong"), tmp_path, {"DATABASE_URL": url}, postgresql_programs())
            assert "lock_holder" in held.stdout
            assert look("Cost runs away").count("TOTAL") == 3
            said = look("A key has leaked")
            assert f"Revoked {key['id']} of alice" in said
            assert request_id in said
            assert "key.revoke" in look("A key has leaked")
            assert "sk-gw-" in look("The admin's key is lost")
            assert "gateway.db-wal" in look("The disk is full")


def fail(stub: OpenAIStub, person: Person) -> str:
    """The request id of a turn that its provider refused."""
    stub.reply_with(Json(error("Out of order."), status=500))
    response = person.http.post("/v1/chat/completions", json=person.body(None, "Hello?"))
    assert response.status_code == 500
    return response.headers["x-request-id"]
