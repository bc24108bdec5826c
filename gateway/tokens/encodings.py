"""tiktoken encodings that never come from the network.

litellm's wheel carries the BPE files of the encodings in use today, named as tiktoken names its cache entries, so the
directory serves as tiktoken's cache. An operator's own TIKTOKEN_CACHE_DIR is respected.

Invariant: tiktoken is only ever asked for an encoding whose file has been found whole. It deletes a cached file whose
hash is wrong and downloads another; in a container that means deleting from site-packages and waiting for a network
that may not be there.
"""

import functools
import hashlib
import importlib.util
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import tiktoken


@dataclass(frozen=True, slots=True)
class _BpeFile:
    name: str
    """SHA-1 of the address that tiktoken would download it from: the name of its cache entry."""
    sha256: str


_FILES = {
    "o200k_base": _BpeFile(
        "fb374d419588a4632f3f557e76b4b70aebbca790", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
    ),
    "cl100k_base": _BpeFile(
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    ),
    "p50k_base": _BpeFile(
        "ec7223a39ce59f226a68acc30dc1af2788490e15", "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"
    ),
}

BUNDLED = tuple(_FILES)
"""Names of the encodings that can be had offline."""

_lock = threading.Lock()


@functools.cache
def get_encoding(name: str) -> tiktoken.Encoding:
    """The encoding of that name. The first call for a name takes about 0.3 s and 70 MB, of which 40 MB stay.

    Safe to call from any thread. Raises ValueError for a name that is not in BUNDLED, and RuntimeError if the
    encoding's file is missing or damaged.
    """
    if name not in _FILES:
        raise ValueError(f"There is no encoding {name!r} here: use one of {', '.join(BUNDLED)}.")
    with _lock:
        directory = encodings_directory()
        check_file(name, directory)
        # Left set for good: whatever else in this process uses tiktoken stays off the network too.
        os.environ["TIKTOKEN_CACHE_DIR"] = str(directory)
        encoding = tiktoken.get_encoding(name)
        # What it was made from, 200,000 objects that only its pickling would look at: it is kept in Rust as well.
        encoding._mergeable_ranks.clear()  # noqa: SLF001 - 24 MB
        return encoding


def encodings_directory() -> Path:
    """$TIKTOKEN_CACHE_DIR, else the directory in litellm's wheel. Raises RuntimeError if litellm is not installed."""
    if chosen := os.environ.get("TIKTOKEN_CACHE_DIR"):
        return Path(chosen)
    spec = importlib.util.find_spec("litellm")  # finds without importing, which would cost a second
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("The token encodings come with litellm, which is not installed. Set TIKTOKEN_CACHE_DIR.")
    return Path(spec.submodule_search_locations[0], "litellm_core_utils", "tokenizers")


def check_file(name: str, directory: Path) -> None:
    """Raise RuntimeError unless `directory` holds the intact file of the encoding `name`."""
    file = _FILES[name]
    path = directory / file.name
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        raise RuntimeError(f"The encoding {name} cannot be read from {path}: {exc.strerror}.") from exc
    if digest != file.sha256:
        raise RuntimeError(f"{path} is not the file of the encoding {name}: its SHA-256 is {digest}.")
