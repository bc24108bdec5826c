"""What of a provider's answer goes on to the client, and how long it asks to be left alone."""

import time
from collections.abc import Iterator

import pytest

from gateway.errors import ProviderError
from gateway.providers.failures import passed_headers, retry_after

NOON = 1_772_366_400.0
"""Sun, 01 Mar 2026 12:00:00 GMT."""


@pytest.fixture
def east_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """HTTP's dates are GMT also where the machine's time is not."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "EAST-9")
        time.tzset()
        yield
    time.tzset()


def test_limits_and_advice_on_retrying_go_on() -> None:
    headers = {"Retry-After": "7", "X-RateLimit-Limit-Requests": "60", "Server": "secret"}
    assert passed_headers(headers) == {"retry-after": "7", "x-ratelimit-limit-requests": "60"}


@pytest.mark.parametrize("value", ["日本", "é", "a\r\nset-cookie: b=c", "\udce9", "a\x00"])
def test_values_that_could_not_be_sent_on_stay_behind(value: str) -> None:
    assert passed_headers({"x-ratelimit-x": value, "retry-after": "7"}) == {"retry-after": "7"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:20 GMT"}, 20),
        ({"retry-after": "Sunday, 01-Mar-26 12:01:00 GMT"}, 60),
        ({"retry-after": "Sun Mar  1 12:00:05 2026"}, 5),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:20 -0000"}, 20),
        ({"retry-after": "Sun, 01 Mar 2026 14:00:20 +0200"}, 20),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:20 GMT", "retry-after-ms": "soon"}, 20),
    ],
)
@pytest.mark.usefixtures("east_of_greenwich")
def test_a_pause_is_asked_for_in_seconds_or_until_a_date(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(busy(headers), lambda: NOON) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "-1",
        "nan",
        "inf",
        "0",
        "Sun, 01 Mar 2026 12:00:00 GMT",
        "Sun, 01 Mar 2020 12:00:00 GMT",
        "Sun, 31 Feb 2026 12:00:00 GMT",
        "Sun, 01 Mar 99999999999 12:00:00 GMT",
        "Sun, 01 Mar 0000 12:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Sun, 01 Mar 2026 99:99:99 GMT",
        "01 Mar",
        ", , , ,",
        "1 2 3 4 5 6 7 8",
        "Sun, 01 Mar 2026 12:00:20 +99999999999999999999",
        "\udce9",
    ],
)
def test_what_asks_for_no_sensible_pause_asks_for_none(value: str) -> None:
    assert retry_after(busy({"retry-after": value}), lambda: NOON) == 0


def busy(headers: dict[str, str]) -> ProviderError:
    return ProviderError("slow down", status=429, headers=headers)
