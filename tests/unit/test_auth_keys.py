"""The form of a key, its checksum and its digest."""

import hashlib
import hmac
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.keys import generate_key, hash_key, mask_keys, parse_key

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = len("sk-gw-") + 10 + 26 + 6


def test_a_key_has_its_prefix_and_42_characters() -> None:
    key = generate_key()
    assert re.fullmatch(f"sk-gw-[{ALPHABET}]{{42}}", key.text)
    assert key.id == "key_" + key.text[6:16]


def test_keys_differ_in_id_and_secret() -> None:
    keys = [generate_key() for _ in range(1000)]
    assert len({key.id for key in keys}) == 1000
    assert len({key.text[16:42] for key in keys}) == 1000


def test_a_key_is_recognised_by_its_id() -> None:
    key = generate_key()
    assert parse_key(key.text) == key.id


def test_the_text_of_a_key_is_not_shown() -> None:
    key = generate_key()
    assert key.text[16:] not in repr(key)


@given(st.integers(0, LENGTH - 1), st.characters(exclude_categories=["Cs"]))
def test_a_key_with_any_character_changed_is_refused(place: int, character: str) -> None:
    text = generate_key().text
    changed = text[:place] + character + text[place + 1 :]
    assert (parse_key(changed) is None) is (changed != text)


def test_no_change_of_one_character_escapes_the_checksum() -> None:
    text = generate_key().text
    changed = [text[:place] + other + text[place + 1 :] for place in range(LENGTH) for other in ALPHABET]
    assert {parse_key(each) for each in changed if each != text} == {None}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text.upper(),
        lambda text: text.replace("sk-gw-", "sk-ow-"),
        lambda text: text[6:],
        lambda text: f" {text}",
        lambda _: "",
        lambda _: "sk-gw-",
    ],
)
def test_what_is_not_a_key_is_refused(change: Callable[[str], str]) -> None:
    assert parse_key(change(generate_key().text)) is None


@given(st.text(max_size=60))
def test_no_text_is_mistaken_for_a_key(text: str) -> None:
    assert parse_key(text) is None
    assert parse_key("sk-gw-" + text) is None


def test_a_digest_is_sha_256_or_an_hmac_under_the_pepper() -> None:
    assert hash_key("text", None) == hashlib.sha256(b"text").digest()
    assert hash_key("text", "pepper") == hmac.digest(b"pepper", b"text", "sha256")


def test_the_pepper_changes_every_digest() -> None:
    text = generate_key().text
    assert len({hash_key(text, pepper) for pepper in (None, "a", "b")}) == 3


def test_an_empty_pepper_is_none() -> None:
    assert hash_key("text", "") == hash_key("text", None)


def test_a_text_is_rid_of_the_secrets_of_its_keys() -> None:
    key = generate_key().text
    public = key[:16]
    assert mask_keys(f"/admin/keys/{key}/{key[:30]}") == f"/admin/keys/{public}…/{public}…"
    assert mask_keys(f"/admin/keys/{public}") == f"/admin/keys/{public}"
    assert mask_keys("/chat/sessions/sess_1") == "/chat/sessions/sess_1"
