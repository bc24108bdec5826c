"""Which counters serve which URL. Redis' client is only loaded for Redis: it is an extra."""

from gateway.auth.limiting.counters import Counters
from gateway.auth.limiting.memory import InMemoryCounters
from gateway.settings import LimitSettings, SettingsError


def configured_counters(settings: LimitSettings) -> Counters:
    """Counters that have not connected yet. Raises SettingsError where what they need is not installed."""
    if settings.storage == "memory:":
        return InMemoryCounters()
    try:
        from gateway.auth.limiting.redis import RedisCounters  # noqa: PLC0415 - as said above
    except ImportError as exc:
        raise SettingsError(
            'limits.storage is a redis:// URL, which needs the package "redis": '
            "pip install 'llm-history-gateway[redis]'"
        ) from exc
    return RedisCounters(settings.storage, timeout=settings.timeout)
