"""What a client is told of its limits: in headers of OpenAI's names and forms, and when one refuses a call."""

from collections.abc import Sequence
from datetime import datetime

from gateway.auth.limiting.counters import Count
from gateway.auth.limiting.plan import MICRODOLLARS, MINUTE, Limit, Per, Unit, period, seconds_until
from gateway.errors import QuotaExceeded, RateLimited

Counted = tuple[Limit, Count, int]
"""A limit, how it stood, and what was asked of it."""

_WHOSE = {"key": "this API key", "user": "all API keys of this user together"}
_NO_RETRY = {"x-should-retry": "false"}
"""OpenAI's clients would otherwise try again within seconds, whatever the error says."""


def too_large(limit: Limit, amount: int) -> RateLimited:
    """The call asks for more than the limit would ever let through."""
    message = (
        f"Request too large for {_WHOSE[limit.of]}: the limit is {_words(limit)}, and this request may need "
        f"{_quantity(amount, limit.unit)}, with what is kept for the reply. Shorten the messages or the history, or "
        "ask for fewer reply tokens."
    )
    kind = QuotaExceeded if limit.per is not Per.MINUTE else RateLimited
    return kind(message, type=_type(limit), headers=_NO_RETRY)


def used_up(limit: Limit, count: Count, amount: int, at: datetime) -> RateLimited:
    """The call does not fit beside what was used already."""
    wait = _wait(limit, count, at)
    message = (
        f"Rate limit reached for {_WHOSE[limit.of]}: {_words(limit)}. Used or reserved: "
        f"{_quantity(count.used, limit.unit)}, and this request may need {_quantity(amount, limit.unit)}. "
    )
    retry = {"retry-after": str(wait)}
    if limit.per is Per.MINUTE:
        return RateLimited(f"{message}Try again in {duration(wait)}.", type=_type(limit), headers=retry)
    end = period(at, limit.per)[2]
    message = message.replace("Rate limit reached", "Quota exceeded", 1)
    return QuotaExceeded(
        f"{message}A new {limit.per} begins at {end:%Y-%m-%dT%H:%M:%SZ}.",
        type=_type(limit),
        headers={**retry, **_NO_RETRY},
    )


def too_many_calls(limit: Limit) -> RateLimited:
    message = f"Rate limit reached for {_WHOSE[limit.of]}: {_words(limit)}. Try again when one of them is done."
    return RateLimited(message, type="requests", headers={"retry-after": "1"})


def window_headers(counts: Sequence[Counted]) -> dict[str, str]:
    """`x-ratelimit-…` of limits a minute, each as it stood before it was charged with so much.

    Of a key's limit and its user's, that of which less remains is told.
    """
    headers: dict[str, str] = {}
    least: dict[Unit, int] = {}
    for limit, count, amount in counts:
        remaining = max(0, limit.most - count.used - amount)
        if limit.per is not Per.MINUTE or remaining >= least.get(limit.unit, limit.most + 1):
            continue
        least[limit.unit] = remaining
        headers[f"x-ratelimit-limit-{limit.unit}"] = str(limit.most)
        headers[f"x-ratelimit-remaining-{limit.unit}"] = str(remaining)
        headers[f"x-ratelimit-reset-{limit.unit}"] = duration(MINUTE + 1 if amount else count.reset)
    return headers


def duration(seconds: int) -> str:
    """As OpenAI writes it: `1s`, `6m0s`, `2h0m0s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def longest(refusing: Sequence[Counted], at: datetime) -> Counted:
    """Of the limits that refuse, the one that does so longest: before that there is no use in trying again."""
    return max(refusing, key=lambda counted: _wait(counted[0], counted[1], at))


def _wait(limit: Limit, count: Count, at: datetime) -> int:
    return count.wait if limit.per is Per.MINUTE else seconds_until(period(at, limit.per)[2], at)


def _words(limit: Limit) -> str:
    quantity = _quantity(limit.most, limit.unit)
    return f"{quantity} at the same time" if limit.per is None else f"{quantity} per {limit.per}"


def _quantity(amount: int, unit: Unit) -> str:
    if unit is Unit.DOLLARS:
        return f"${amount / MICRODOLLARS:.6f}".rstrip("0").rstrip(".")
    return f"{amount} {str(unit).removesuffix('s') if amount == 1 else unit}"


def _type(limit: Limit) -> str:
    """OpenAI's: which kind of limit a minute it was; for a quota the same word as its code."""
    return str(limit.unit) if limit.per is Per.MINUTE else QuotaExceeded.code or ""
