"""Identifiers are ULIDs: 26 characters of Crockford base32 that sort by the time they were made."""

import os
import re
import time
from collections.abc import Callable

import pytest

from gateway.ids import (
    is_id,
    new_message_id,
    new_request_id,
    new_session_id,
    new_turn_id,
    new_user_id,
    ulid,
)

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def milliseconds(text: str) -> int:
    """The time that a ULID's first ten characters spell, decoded by the book."""
    value = 0
    for character in text[:10]:
        value = value * 32 + ALPHABET.index(character)
    return value


def test_a_ulid_has_26_characters_and_fits_128_bits() -> None:
    for _ in range(1000):
        assert re.fullmatch(f"[0-7][{ALPHABET}]{{25}}", ulid())


def test_a_ulid_starts_with_the_time_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    text = ulid()
    assert before <= milliseconds(text) <= time.time_ns() // 1_000_000


def test_ulids_of_one_millisecond_differ() -> None:
    assert len({ulid() for _ in range(10_000)}) == 10_000


def test_every_random_position_takes_every_character() -> None:
    """One is missing from a position in one of 10^130 runs."""
    tails = [ulid()[10:] for _ in range(10_000)]
    assert all({tail[place] for tail in tails} == set(ALPHABET) for place in range(16))


@pytest.mark.parametrize(
    ("make", "prefix"),
    [
        (new_session_id, "sess_"),
        (new_turn_id, "turn_"),
        (new_message_id, "msg_"),
        (new_user_id, "user_"),
        (new_request_id, "req_"),
    ],
)
def test_an_id_says_what_it_names(make: Callable[[], str], prefix: str) -> None:
    assert re.fullmatch(f"{prefix}[{ALPHABET}]{{26}}", make())


def test_a_new_session_id_is_one_that_a_client_may_send() -> None:
    assert is_id(new_session_id())


def test_a_forked_process_makes_ids_of_its_own() -> None:
    """It starts with the same stock of random characters."""
    ulid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ulid().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 26)[10:].decode() != ulid()[10:]
    os.close(reading)
    os.close(writing)
