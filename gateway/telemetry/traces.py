"""Where traces come from, if the settings ask for them: OpenTelemetry is not imported for those that do not."""

from collections.abc import Sequence
from typing import Protocol

from gateway.settings import SettingsError, TelemetrySettings
from gateway.telemetry.steps import NotedTurn


class Traces(Protocol):
    def take(self, turns: Sequence[NotedTurn]) -> None:
        """Have these told to the collector some time, if it can be reached. Never blocks, never raises."""

    async def aclose(self) -> None:
        """Send what waits, within a few seconds; what has not left by then is dropped."""


def open_traces(settings: TelemetrySettings) -> Traces | None:
    """None if no collector is named. Raises SettingsError as `check_traces`."""
    if settings.otlp_endpoint is None:
        return None
    check_traces(settings)
    from gateway.telemetry.otlp import OtlpTraces  # noqa: PLC0415 - see above

    return OtlpTraces(settings, settings.otlp_endpoint)


def check_traces(settings: TelemetrySettings) -> None:
    """Raises SettingsError if traces are asked for and cannot be made: what makes them is not installed."""
    if settings.otlp_endpoint is None:
        return
    try:
        import gateway.telemetry.otlp  # noqa: F401, PLC0415 - see above
    except ImportError as exc:
        raise SettingsError(
            "telemetry.otlp_endpoint needs OpenTelemetry's SDK and its OTLP exporter, which are not installed: "
            "pip install 'llm-history-gateway[otlp]', or set it to null"
        ) from exc
