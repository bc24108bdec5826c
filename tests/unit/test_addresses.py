"""URLs of databases: which come apart where they were meant to, and what of them is shown."""

import pytest

from gateway.addresses import MASK, check_postgres_url, check_redis_url, masked, shown

SPILLED = [
    *[f"postgresql://alice:top{sign}secret@127.0.0.1:5432/app" for sign in "/?#["],
    "postgres://alice:1234/secret@127.0.0.1/app",
    "postgresql://alice:]secret@127.0.0.1/app",
    "postgresql://alice:top/secret",
    "postgresql://alice:secret@127.0.0.1:5432/app?password=top@secret",
    "postgresql://alice:secret@127.0.0.1:1,127.0.0.1:secret/app",
    "postgresql://alice:secret@127.0.0.1:99999/app",
    "postgresql://alice:secret\u2100@127.0.0.1/app",
]


@pytest.mark.parametrize("url", SPILLED)
def test_a_password_that_has_spilled_out_of_its_place_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="percent-encode") as caught:
        check_postgres_url(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert shown(url) == "postgresql://…"
    assert masked(url) == MASK


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://alice:top%2Fsecret@db:5432/app?password=secret", "postgresql://alice@db:5432/app"),
        ("postgresql://alice:se@cret:secret@db/app", "postgresql://alice@db/app"),
        ("postgres://db/app", "postgres://db/app"),
        ("postgresql://alice:secret@[::1]:1,[::2]:2/app", "postgresql://alice@[::1]:1,[::2]:2/app"),
        ("postgresql://alice:secret@/app?host=/run/postgresql", "postgresql://alice@/app"),
        ("sqlite:////var/lib/gateway.db", "sqlite:////var/lib/gateway.db"),
        ("memory:", "memory:"),
    ],
)
def test_a_url_is_shown_without_password_and_options(url: str, seen: str) -> None:
    assert shown(url) == seen


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://alice:top%2Fsecret@db:5432/app", f"postgresql://alice:{MASK}@db:5432/app"),
        ("postgresql://alice:se@cret:secret@db/app", f"postgresql://alice:{MASK}@db/app"),
        (
            "postgresql://alice@db/app?sslmode=require&password=secret",
            f"postgresql://alice@db/app?sslmode={MASK}&password={MASK}",
        ),
        ("postgres://db/app?secret#secret", f"postgres://db/app?{MASK}"),
        ("redis://:secret@[::1]:6379/0", f"redis://:{MASK}@[::1]:6379/0"),
        ("https://secret@host.test/v1?key=secret", f"https://{MASK}@host.test/v1?key={MASK}"),
        ("https://secret:@host.test/v1", f"https://{MASK}@host.test/v1"),
        ("https://alice:sec/ret@host.test/v1", MASK),
        ("se_cret://secret", MASK),
        ("https://host.test:8443/v1", "https://host.test:8443/v1"),
        ("sqlite:////var/lib/a@b?c#d.db", "sqlite:////var/lib/a@b?c#d.db"),
        ("memory:", "memory:"),
    ],
)
def test_a_url_is_masked_where_it_may_hold_a_secret(url: str, seen: str) -> None:
    assert masked(url) == seen


@pytest.mark.parametrize(
    "url",
    [
        "redis://:top/secret@127.0.0.1:6379/0",
        "redis://alice:top#secret@127.0.0.1/0",
        "redis://127.0.0.1:secret/0",
        "http://alice:secret@127.0.0.1/0",
        "redis:///secret",
        "secret",
    ],
)
def test_what_is_no_url_of_a_redis_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="redis://USER:PASSWORD@HOST:PORT/NUMBER") as caught:
        check_redis_url(url)
    assert "secret" not in str(caught.value)


def test_the_password_of_a_redis_is_masked() -> None:
    check_redis_url("rediss://:secret@redis.test:6379/0")
    assert masked("rediss://:secret@redis.test:6379/0") == f"rediss://:{MASK}@redis.test:6379/0"
