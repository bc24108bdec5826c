"""Encodings come from the wheel, never from the network, and a damaged file is reported, not replaced."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.tokens.encodings import BUNDLED, check_file, encodings_directory, get_encoding


@pytest.mark.parametrize(
    ("name", "ids"), [("o200k_base", [24912, 2375]), ("cl100k_base", [15339, 1917]), ("p50k_base", [31373, 995])]
)
def test_each_bundled_encoding_encodes_as_published(name: str, ids: list[int]) -> None:
    assert name in BUNDLED
    assert get_encoding(name).encode_ordinary("hello world") == ids


def test_an_encoding_is_loaded_once() -> None:
    assert get_encoding("p50k_base") is get_encoding("p50k_base")


def test_what_an_encoding_was_made_from_is_not_kept_twice() -> None:
    encoding = get_encoding("p50k_base")
    assert not encoding._mergeable_ranks
    assert encoding.decode(encoding.encode("hello <|endoftext|> world", allowed_special="all")) == (
        "hello <|endoftext|> world"
    ), "others who use tiktoken in this process share it"


def test_an_unknown_name_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="o200k_base, cl100k_base, p50k_base"):
        get_encoding("r50k_base")


def test_the_bundled_files_are_used_unless_the_operator_has_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert encodings_directory() == tmp_path
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    for name in BUNDLED:
        check_file(name, encodings_directory())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"o200k_base cannot be read from .*No such file"):
        check_file("o200k_base", tmp_path)


_LOAD = """
import sys
from gateway.tokens.encodings import get_encoding
try:
    print(len(get_encoding("p50k_base").encode_ordinary("hello world")), "litellm" in sys.modules)
except RuntimeError as exc:
    print(exc)
"""


def _load_in_a_fresh_process(environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", _LOAD]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - our own text


def test_loading_does_not_import_litellm() -> None:
    assert _load_in_a_fresh_process({}) == "2 False"


def test_a_damaged_file_is_an_error_and_stays_where_it_is(tmp_path: Path) -> None:
    damaged = tmp_path / "ec7223a39ce59f226a68acc30dc1af2788490e15"
    damaged.write_bytes(b"IQ== 0\n")
    assert "is not the file of the encoding p50k_base" in _load_in_a_fresh_process(
        {"TIKTOKEN_CACHE_DIR": str(tmp_path)}
    )
    assert damaged.read_bytes() == b"IQ== 0\n"
