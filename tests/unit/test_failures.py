"""What of a provider's answer goes on to the client."""

import pytest

from gateway.providers.failures import passed_headers


def test_limits_and_advice_on_retrying_go_on() -> None:
    headers = {"Retry-After": "7", "X-RateLimit-Limit-Requests": "60", "Server": "secret"}
    assert passed_headers(headers) == {"retry-after": "7", "x-ratelimit-limit-requests": "60"}


@pytest.mark.parametrize("value", ["日本", "é", "a\r\nset-cookie: b=c", "\udce9", "a\x00"])
def test_values_that_could_not_be_sent_on_stay_behind(value: str) -> None:
    assert passed_headers({"x-ratelimit-x": value, "retry-after": "7"}) == {"retry-after": "7"}
