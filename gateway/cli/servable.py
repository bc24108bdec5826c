"""What stops `gateway serve` in settings that are valid each by itself. `gateway config check` says the same."""

import os
from collections.abc import Sequence

from gateway.auth.limiting.opening import configured_counters
from gateway.cli.console import fail, mistakes_reported
from gateway.providers.models import Models
from gateway.settings import Settings
from gateway.telemetry.traces import check_traces


def servable_models(settings: Settings) -> Models:
    """The models that the settings name. Settings that cannot be served end the process with exit code 2."""
    if settings.server.workers > 1 and settings.storage.url == "memory:":
        fail(
            "server.workers must be 1 where storage.url is memory: each process would keep sessions of its own.", code=2
        )
    with mistakes_reported():
        check_traces(settings.telemetry)
        configured_counters(settings.limits)
        return Models(settings, os.environ)


def cautions(settings: Settings, models: Models) -> Sequence[str]:
    """What can be served, but hardly as it was meant."""
    limits, found = settings.limits, []
    defaults = (limits.key, limits.user)
    if settings.server.workers > 1 and limits.storage == "memory:" and any(some.is_set for some in defaults):
        found.append(
            f"each of the {settings.server.workers} workers counts limits for itself, so that callers get up to as "
            "many times as much: set limits.storage to a redis:// URL"
        )
    counts_money = any(some.dollars_per_day or some.dollars_per_month for some in defaults)
    if counts_money and models.unpriced:
        found.append(
            f"no prices are known for {', '.join(models.unpriced)}, whose calls count nothing against limits in "
            "dollars: set input_cost_per_token and output_cost_per_token, or a limit in tokens"
        )
    return found
