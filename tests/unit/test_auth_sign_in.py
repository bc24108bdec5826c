"""A sign-in stands for one key, for so long, and cannot be made or changed by whoever does not know what is stored."""

from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.auth.keys import generate_key, hash_key
from gateway.auth.sign_in import LIFETIME, SignIn, new_sign_in, parse_sign_in
from gateway.domain import ApiKey, Scope, User

NOW = 1_800_000_000.0


def a_key() -> ApiKey:
    new = generate_key()
    owner = User("user_1", "ada")
    return ApiKey(new.id, owner, None, frozenset({Scope.USER}), hash_key(new.text, None), datetime.now(UTC))


def reread(sign_in: SignIn) -> SignIn:
    found = parse_sign_in(str(sign_in))
    assert found is not None
    return found


@pytest.mark.parametrize("pepper", [None, "pepper"])
def test_it_is_valid_for_its_key_from_the_first_second_to_the_last(pepper: str | None) -> None:
    key = a_key()
    sign_in = reread(new_sign_in(key, pepper, NOW))
    assert sign_in.key_id == key.id
    assert sign_in.is_valid(key, pepper, NOW)
    assert sign_in.is_valid(key, pepper, NOW + LIFETIME - 1)
    assert not sign_in.is_valid(key, pepper, NOW + LIFETIME)


def test_it_is_worth_nothing_for_another_key_or_pepper() -> None:
    key, other = a_key(), a_key()
    sign_in = new_sign_in(key, "pepper", NOW)
    assert not replace(sign_in, key_id=other.id).is_valid(other, "pepper", NOW)
    assert not sign_in.is_valid(replace(key, hash=other.hash), "pepper", NOW)
    assert not sign_in.is_valid(key, None, NOW)
    assert not sign_in.is_valid(key, "salt", NOW)


def test_it_cannot_be_prolonged_or_signed_by_guessing() -> None:
    key = a_key()
    sign_in = new_sign_in(key, None, NOW)
    assert not replace(sign_in, expires=sign_in.expires + 1).is_valid(key, None, NOW)
    for place in (0, 15, 31):
        signature = bytearray(sign_in.signature)
        signature[place] ^= 1
        assert not replace(sign_in, signature=bytes(signature)).is_valid(key, None, NOW)
    assert not replace(sign_in, signature=b"").is_valid(key, None, NOW)


def test_neither_the_key_nor_what_is_stored_of_it_is_in_it() -> None:
    new = generate_key()
    key = replace(a_key(), id=new.id, hash=hash_key(new.text, None))
    text = str(new_sign_in(key, None, NOW))
    assert new.text[16:] not in text
    for stored in (key.hash.hex(), urlsafe_b64encode(key.hash).decode().rstrip("=")):
        assert stored not in text
    assert "signature" not in repr(new_sign_in(key, None, NOW))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key_0123456789",
        "key_0123456789.1800000000",
        "key_0123456789.1800000000." + "A" * 42,
        "key_0123456789.1800000000." + "A" * 44,
        "key_0123456789.18e8." + "A" * 43,
        "key_0123456789.-1." + "A" * 43,
        "key_0123456789.\u0661." + "A" * 43,
        "KEY_0123456789.1800000000." + "A" * 43,
        "key_0123456789.1800000000." + "A" * 43 + "\n",
        "key_0123456789.1800000000." + "A" * 42 + "/",
    ],
)
def test_what_has_not_its_form_is_none(text: str) -> None:
    assert parse_sign_in(text) is None


class Incomparable(bytes):
    """Bytes that may be compared in constant time only."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a signature was compared with ==")

    __hash__ = bytes.__hash__


def test_signatures_are_compared_in_constant_time() -> None:
    key = a_key()
    sign_in = new_sign_in(key, None, NOW)
    assert replace(sign_in, signature=Incomparable(sign_in.signature)).is_valid(key, None, NOW)
