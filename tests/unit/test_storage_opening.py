"""Which URL gets which store, and what it costs the others."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.storage.memory import InMemoryStore
from gateway.storage.opening import make_store
from gateway.storage.postgres import PostgresStore
from gateway.storage.sqlite import SqliteStore


def test_each_scheme_gets_its_store(tmp_path: Path) -> None:
    assert isinstance(make_store("memory:"), InMemoryStore)
    assert isinstance(make_store(f"sqlite:///{tmp_path}/gateway.db"), SqliteStore)
    assert isinstance(make_store("postgresql://localhost/x"), PostgresStore)
    assert isinstance(make_store("postgres://localhost/x"), PostgresStore)


@pytest.mark.parametrize("url", ["", "mysql://alice:hunter2@localhost/x", "alice:hunter2@localhost/x", "hunter2"])
def test_another_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:///PATH or postgresql://") as caught:
        make_store(url)
    assert "hunter2" not in str(caught.value)


def test_a_password_that_is_not_encoded_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="percent-encode") as caught:
        make_store("postgresql://alice:hunter2/x@localhost/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("url", "foreign"), [("memory:", "asyncpg"), ("sqlite:///x.db", "asyncpg")])
def test_no_driver_of_another_database_is_loaded(url: str, foreign: str) -> None:
    program = (
        f"import sys; from gateway.storage.opening import make_store; make_store({url!r}); "
        f"sys.exit({foreign!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own text
