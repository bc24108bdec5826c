"""gateway.yaml and the environment → frozen settings: what there is (sections, models, whole), and how it is read."""

from gateway.settings.models import NEVER_FROM_CLIENTS, DeploymentSettings, ModelSettings
from gateway.settings.reading import SettingsError, load_settings, parse_settings, settings_file
from gateway.settings.sections import (
    ExternalTables,
    LimitSettings,
    LoggingSettings,
    RetentionSettings,
    RoutingSettings,
    SessionSettings,
    StorageSettings,
    TelemetrySettings,
)
from gateway.settings.whole import Settings

__all__ = [
    "NEVER_FROM_CLIENTS",
    "DeploymentSettings",
    "ExternalTables",
    "LimitSettings",
    "LoggingSettings",
    "ModelSettings",
    "RetentionSettings",
    "RoutingSettings",
    "SessionSettings",
    "Settings",
    "SettingsError",
    "StorageSettings",
    "TelemetrySettings",
    "load_settings",
    "parse_settings",
    "settings_file",
]
