"""What stops `gateway serve` in settings that are valid each by itself. `gateway config check` says the same."""

import os

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
        return Models(settings, os.environ)
