"""Everything that gateway.yaml can hold, and the environment before it."""

from pydantic import field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.settings.models import ModelSettings
from gateway.settings.sections import (
    AuthSettings,
    DashboardSettings,
    LimitSettings,
    LoggingSettings,
    MetricsSettings,
    ProviderSettings,
    RetentionSettings,
    RoutingSettings,
    ServerSettings,
    SessionSettings,
    StorageSettings,
    TelemetrySettings,
)

_DEFAULT_MODELS = (ModelSettings(name="echo", model="echo"), ModelSettings(name="*", model="*"))


class Settings(BaseSettings):
    """Everything that gateway.yaml can hold."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    auth: AuthSettings = AuthSettings()
    sessions: SessionSettings = SessionSettings()
    retention: RetentionSettings = RetentionSettings()
    limits: LimitSettings = LimitSettings()
    providers: ProviderSettings = ProviderSettings()
    routing: RoutingSettings = RoutingSettings()
    dashboard: DashboardSettings = DashboardSettings()
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings = MetricsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    models: tuple[ModelSettings, ...] = _DEFAULT_MODELS

    @field_validator("models")
    @classmethod
    def _names_once(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        if not models:
            raise ValueError("at least one model is needed")
        names = [model.name for model in models]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)}: each name may be used once")
        return models

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first: what is passed in comes from the file. No .env, no secrets directory."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings
