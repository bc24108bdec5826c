"""gateway.yaml and the environment → frozen settings.

Order: a `GATEWAY_` variable (the setting's path joined by `__`: `GATEWAY_SERVER__PORT`) beats the file, which beats the
defaults written here. `${NAME}` inside the file is replaced by the environment's value. Every mistake is
reported at once, with its path and what would be allowed; models that cannot be served are told in a second round,
once there are settings to look them up by.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from gateway.addresses import MASK, POSTGRESQL, check_postgres_url, check_redis_url
from gateway.domain import MAX_HISTORY_MESSAGES, Limits

NEVER_FROM_CLIENTS = frozenset(
    """
    model messages stream stream_options api_base base_url api_key api_type api_version organization extra_body
    extra_headers extra_query headers custom_llm_provider mock_response mock_tool_calls mock_timeout mock_delay
    fallbacks context_window_fallback_dict content_policy_fallbacks model_list num_retries max_retries
    retry_strategy timeout request_timeout stream_timeout client http_client shared_session aws_access_key_id
    aws_secret_access_key aws_session_token aws_region_name aws_bedrock_runtime_endpoint aws_sts_endpoint
    aws_web_identity_token vertex_credentials vertex_project vertex_location azure_ad_token
    azure_ad_token_provider litellm_params proxy_server_request caching cache cache_key litellm_call_id
    litellm_logging_obj litellm_metadata logger_fn verbose input_cost_per_token output_cost_per_token
    acompletion deployment_id drop_params additional_drop_params preset_cache_key user_continue_message
    ssl_verify session_id
    """.split()
)
"""Fields that steer the gateway or litellm itself, not the model: `allow_params` cannot let them through."""


class SettingsError(Exception):
    """Something in gateway.yaml or the environment is wrong; the text lists every mistake."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _unmasked(cls, value: Any) -> Any:
        """A mask taken for a secret would be a secret that everybody knows: a pepper that is none, for one."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and MASK in text:
            raise ValueError(f"{MASK} is where `gateway config show` left out a secret: put the secret there")
        return value


class ServerSettings(_Frozen):
    """Where the gateway listens, and with how many processes. `gateway serve` has options for the first three."""

    host: str = Field("127.0.0.1", description="the address to listen on; 0.0.0.0 for every one")
    port: int = Field(8000, ge=0, le=65535, description="0 takes any free port")
    workers: int = Field(1, ge=1, description="processes that serve")
    max_body_bytes: int = Field(20 * 1024 * 1024, ge=1024, description="a larger request body is answered with 413")
    shutdown_timeout: float = Field(30.0, ge=0, le=3600, description="seconds that running turns get after SIGTERM")


_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")


class ExternalTables(_Frozen):
    """Names of the host's own tables, `table` or `schema.table`."""

    messages: str | None = Field(None, description="the host's table of messages: `table` or `schema.table`")
    sessions: str | None = Field(None, description="the host's table of sessions: `table` or `schema.table`")

    @field_validator("messages", "sessions")
    @classmethod
    def _plain(cls, name: str | None) -> str | None:
        if name is not None and not _TABLE_NAME.fullmatch(name):
            raise ValueError(
                "must be letters, digits and _, not beginning with a digit, at most 63; or two such: schema.table"
            )
        return name


class StorageSettings(_Frozen):
    """The database of users, keys, sessions and messages."""

    url: str = Field(
        "sqlite:///./data/gateway.db",
        repr=False,  # it may hold a password
        description="sqlite:///PATH, postgresql://USER:PASSWORD@HOST/DATABASE, or memory: to keep nothing",
    )
    timeout: float = Field(
        2.0, gt=0, le=60, description="seconds that the database may take to answer before a caller gets 503"
    )
    cache_bytes: int = Field(64 * 1024 * 1024, ge=0, description="memory of each process for recent windows")
    pool_size: int = Field(10, ge=1, le=1000, description="PostgreSQL: connections that each process opens at most")
    statement_cache_size: int = Field(
        100, ge=0, le=10_000, description="PostgreSQL: statements kept prepared on a connection; 0 for pgbouncer"
    )
    # pydantic's BaseModel has a method of that name, long deprecated.
    schema_: Literal["own", "external"] = Field(
        "own", alias="schema", description="external: sessions and messages are in tables of the host's"
    )
    tables: ExternalTables = Field(ExternalTables(), description="with schema external: the host's tables")

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        path = url.removeprefix("sqlite:///")
        is_file = url != path and path not in {"", ":memory:"} and "?" not in path
        if url.startswith(POSTGRESQL):
            check_postgres_url(url)
            return url
        if url == "memory:" or is_file:
            return url
        raise ValueError("must be sqlite:///PATH without options, postgresql://USER:PASSWORD@HOST/DATABASE, or memory:")

    @model_validator(mode="after")
    def _external_is_whole(self) -> "StorageSettings":
        named = [self.tables.messages, self.tables.sessions]
        if self.schema_ == "own" and any(named):
            raise ValueError("tables are for schema: external")
        if self.schema_ == "external" and not (all(named) and self.url.startswith("postgres")):
            raise ValueError("schema: external needs tables.messages, tables.sessions and a postgresql:// url")
        return self


class AuthSettings(_Frozen):
    """How API keys are stored and looked up."""

    pepper: SecretStr | None = Field(None, description="keys are stored as HMAC-SHA-256 with it, else as SHA-256")
    cache_seconds: float = Field(
        5.0, ge=0, le=5, description="how long a key found valid is believed; also the longest a revoked one works"
    )

    @property
    def pepper_text(self) -> str | None:
        return None if self.pepper is None else self.pepper.get_secret_value()


class SessionSettings(_Frozen):
    """What a session puts into a call, and how its turns wait for each other."""

    auto_create: bool = Field(False, description="an unknown session_id is created for its caller instead of a 404")
    max_history_messages: int = Field(
        20, ge=0, le=MAX_HISTORY_MESSAGES, description="history messages injected where a session does not say"
    )
    lock_timeout: float = Field(
        60.0, gt=0, le=3600, description="seconds that a turn waits for another one of its session before a 409"
    )
    lease: float = Field(
        30.0, ge=2, le=600, description="seconds after which a turn whose process has died no longer holds its session"
    )
    on_disconnect: Literal["cancel", "complete"] = Field(
        "cancel", description="whether a reply whose client has left is stopped or brought to its end"
    )
    safety_margin: int = Field(64, ge=0, le=100_000, description="tokens of the context window left unused")


class RetentionSettings(_Frozen):
    """What is removed by itself, and when. Days may be fractions of one."""

    deleted_days: float | None = Field(
        30.0, ge=0, le=36_500, description="deleted sessions are removed for good after so long; null: never"
    )
    inactive_days: float | None = Field(
        None, gt=0, le=36_500, description="sessions without a turn for so long are deleted; null: never"
    )
    ledger_days: float | None = Field(
        None, gt=0, le=36_500, description="ledger rows are removed after so long; null: never"
    )
    interval: float = Field(60.0, ge=1, le=86_400, description="seconds between two looks for what is due")


class LimitDefaults(_Frozen):
    """What holds for keys, or users, that set no limit of their own by that name. Null: no limit."""

    requests_per_minute: int | None = Field(None, ge=1, description="calls in any 60 seconds")
    tokens_per_minute: int | None = Field(
        None, ge=1, description="in any 60 seconds, of prompts with their history, and replies"
    )
    parallel_calls: int | None = Field(None, ge=1, description="calls at the same time")
    tokens_per_day: int | None = Field(None, ge=1, description="in a day of the calendar, in UTC")
    tokens_per_month: int | None = Field(None, ge=1, description="in a month of the calendar, in UTC")
    dollars_per_day: float | None = Field(None, gt=0, description="US dollars, of models whose prices are known")
    dollars_per_month: float | None = Field(None, gt=0, description="US dollars, of models whose prices are known")

    @property
    def limits(self) -> Limits:
        return Limits(**self.model_dump())

    @property
    def is_set(self) -> bool:
        return any(limit is not None for limit in self.model_dump().values())


class LimitSettings(_Frozen):
    """How much keys and users may use, and where that is counted."""

    storage: str = Field(
        "memory:",
        repr=False,  # it may hold a password
        description="memory:, each process for itself; or redis://USER:PASSWORD@HOST:PORT/NUMBER (rediss:// with TLS), "
        "Redis or Valkey, for all processes and replicas together",
    )
    timeout: float = Field(1.0, gt=0, le=60, description="seconds that Redis may take to answer")
    on_unavailable: Literal["deny", "allow"] = Field(
        "deny", description="while Redis does not answer, calls of callers with limits get 503, or go through uncounted"
    )
    key: LimitDefaults = Field(LimitDefaults(), description="for each key")
    user: LimitDefaults = Field(LimitDefaults(), description="for all keys of a user together")

    @field_validator("storage")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if url != "memory:":
            check_redis_url(url)
        return url


class ProviderSettings(_Frozen):
    """Calls to all upstreams."""

    connect_timeout: float = Field(10.0, gt=0, le=600, description="seconds to reach an upstream")
    read_timeout: float = Field(300.0, gt=0, le=3600, description="seconds of silence, within a stream too")
    total_timeout: float = Field(600.0, gt=0, le=7200, description="seconds for one whole call")
    max_connections: int = Field(1000, ge=1, le=100_000, description="open connections to all upstreams together")


class DashboardSettings(_Frozen):
    """The page for operators and users at /dashboard."""

    enabled: bool = Field(True, description="false: there is no page, and nobody can sign in")


class LoggingSettings(_Frozen):
    """The log, which goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")
    format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal, else json")


class MetricsSettings(_Frozen):
    """What `GET /metrics` tells, and whom."""

    public: bool = Field(False, description="whether it is answered without a key, else to admins' keys alone")
    user_labels: int = Field(
        0, ge=0, le=1000, description="users that each process also counts by name; 0: none, and no such metrics"
    )


class TelemetrySettings(_Frozen):
    """Traces of turns, sent to an OpenTelemetry collector."""

    otlp_endpoint: str | None = Field(
        None, description="its base URL for OTLP over HTTP, such as http://localhost:4318; null: no traces"
    )
    service_name: str = Field("llm-history-gateway", min_length=1, max_length=256, description="what traces call it")
    sample: float = Field(
        1.0, ge=0, le=1, description="the part of turns that is traced, where a caller's traceparent does not say"
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _base_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", url):
            raise ValueError(
                "must be http://HOST:PORT or https://…, without credentials: they belong into the environment variable "
                "OTEL_EXPORTER_OTLP_HEADERS"
            )
        if url.rstrip("/").endswith("/v1/traces"):
            raise ValueError("must be given without /v1/traces, which is added")
        return url


class RoutingSettings(_Frozen):
    """What is done about a call that fails before anything of its reply was sent."""

    retries: int = Field(2, ge=0, le=10, description="further attempts at a model, before its fallbacks have theirs")
    backoff: float = Field(
        0.25, gt=0, le=8, description="seconds before a deployment is asked again; doubled each time, up to 8"
    )
    retry_after_max: float = Field(
        10.0, ge=0, le=600, description="seconds; a provider that asks for a longer pause is not asked again"
    )
    cooldown: float = Field(
        30.0, gt=0, le=3600, description="seconds that a deployment which keeps failing is left alone"
    )
    cooldown_after: int = Field(3, ge=1, le=1000, description="failures in a row that begin a cool-down")


class DeploymentSettings(_Frozen):
    """One of the deployments of a model. What it leaves out of the last five is the model's."""

    name: str | None = Field(
        None, min_length=1, max_length=128, description="for the ledger, the log and metrics; else `model`@host"
    )
    model: str = Field(min_length=1, max_length=256, description='litellm\'s id, or "echo"')
    api_base: str | None = Field(None, pattern=r"^https?://", description="the upstream's base URL, with its /v1")
    api_key: SecretStr | None = Field(
        None, description="else the provider's own environment variable, unless api_base is set"
    )
    via: Literal["auto", "litellm", "direct"] = Field("auto", description="as for a model")
    weight: float = Field(1.0, gt=0, le=1_000_000, description="its share of the calls, relative to the others'")
    context_window: int | None = Field(None, ge=256, description="tokens")
    reply_reserve: int | None = Field(None, ge=1, description="tokens")
    encoding: Literal["o200k_base", "cl100k_base", "p50k_base"] | None = Field(
        None, description="tiktoken encoding to count with"
    )
    input_cost_per_token: float | None = Field(None, ge=0, description="US dollars")
    output_cost_per_token: float | None = Field(None, ge=0, description="US dollars")

    @field_validator("model")
    @classmethod
    def _no_star(cls, model: str) -> str:
        if model == "*":
            raise ValueError('"*" cannot be one of several deployments')
        return model

    @property
    def label(self) -> str:
        """Its name, or what it is called without one."""
        host = urlsplit(self.api_base).netloc.rpartition("@")[2] if self.api_base else ""
        return self.name or (f"{self.model}@{host}" if host else self.model)


class ModelSettings(_Frozen):
    """What clients may send as "model", and what serves it: one entry of the list `models`."""

    name: str = Field(min_length=1, max_length=256, description='what clients send as "model"; "*" is any litellm id')
    model: str | None = Field(
        None, min_length=1, max_length=256, description='litellm\'s id, "echo", or "*"; required without `deployments`'
    )
    deployments: tuple[DeploymentSettings, ...] = Field(
        (), description="several to share the calls, in place of model, api_base, api_key and via"
    )
    fallbacks: tuple[str, ...] = Field((), description="other models, which answer in this order when this one fails")
    api_base: str | None = Field(None, pattern=r"^https?://", description="the upstream's base URL, with its /v1")
    api_key: SecretStr | None = Field(
        None, description="else the provider's own environment variable, unless api_base is set"
    )
    via: Literal["auto", "litellm", "direct"] = Field(
        "auto", description="auto: direct where the upstream speaks OpenAI's wire, else litellm"
    )
    context_window: int | None = Field(None, ge=256, description="tokens; where litellm's map is wrong or silent")
    reply_reserve: int | None = Field(
        None, ge=1, description="tokens kept free for the reply where a request sets no limit"
    )
    encoding: Literal["o200k_base", "cl100k_base", "p50k_base"] | None = Field(
        None, description="tiktoken encoding to count with"
    )
    input_cost_per_token: float | None = Field(None, ge=0, description="US dollars")
    output_cost_per_token: float | None = Field(None, ge=0, description="US dollars")
    allow_params: frozenset[str] = Field(
        default=frozenset(), description="request fields beyond OpenAI's that are passed on to this model"
    )

    @field_validator("allow_params")
    @classmethod
    def _harmless(cls, names: frozenset[str]) -> frozenset[str]:
        if bad := sorted(names & NEVER_FROM_CLIENTS):
            raise ValueError(f"{', '.join(bad)} cannot be left to clients")
        return names

    @model_validator(mode="after")
    def _star_is_star(self) -> "ModelSettings":
        if (self.name == "*") != (self.model == "*"):
            raise ValueError('name "*" goes with model "*", and only with it')
        if self.name == "*" and self.fallbacks:
            raise ValueError('"*" has no fallbacks: give them to a model with a name')
        return self

    @model_validator(mode="after")
    def _one_or_several(self) -> "ModelSettings":
        if self.model is None and not self.deployments:
            raise ValueError("model is required, or else deployments")
        if self.deployments and (self.model or self.api_base or self.api_key or self.via != "auto"):
            raise ValueError("model, api_base, api_key and via go into each of the deployments")
        labels = [deployment.label for deployment in self.deployments]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"several deployments are called {', '.join(twice)}: give each a name of its own")
        return self

    @model_validator(mode="after")
    def _others_stand_in(self) -> "ModelSettings":
        if self.name in self.fallbacks:
            raise ValueError(f"{self.name} cannot be a fallback of its own")
        if len(set(self.fallbacks)) < len(self.fallbacks):
            raise ValueError("each fallback may be named once")
        return self


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


_USUAL_FILE = Path("gateway.yaml")


def settings_file(path: Path | None = None) -> Path | None:
    """The file to read: `path`, else $GATEWAY_CONFIG, else ./gateway.yaml if it is there, else none.

    Raises SettingsError if the one that was named is not there.
    """
    named = path or (Path(value) if (value := os.environ.get("GATEWAY_CONFIG")) else None)
    if named is not None and not named.is_file():
        raise SettingsError(f"{named}: there is no such file")
    return named or (_USUAL_FILE if _USUAL_FILE.is_file() else None)


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings from the `settings_file`, or take the defaults alone if there is none.

    Raises SettingsError, with one line a mistake.
    """
    source = settings_file(path)
    content = _read_yaml(source) if source is not None else {}
    return parse_settings(content, source=str(source or _USUAL_FILE))


def parse_settings(content: Mapping[str, Any], *, source: str = "settings") -> Settings:
    """Settings from a parsed file and the environment. Raises SettingsError."""
    missing: list[str] = []
    expanded = _expand(content, (), missing)
    # pydantic-settings would take a key such as _env_prefix as an option of its own, without a word.
    private = [name for name in expanded if name.startswith("_")]
    unknown = [f"{name}: no such setting" for name in [*private, *_unknown_variables()]]
    invalid: list[str] = []
    try:
        settings = Settings(**{name: value for name, value in expanded.items() if name not in private})
    except ValidationError as exc:
        invalid = [f"{_path(error['loc'])}: {_explain(error)}" for error in exc.errors(include_input=False)]
    except UnreadableVariable as exc:
        invalid = [f"environment: {exc}: it is not JSON"]
    if mistakes := missing + invalid + unknown:
        raise SettingsError("\n".join([f"{source} is not valid:", *_indent(mistakes)]))
    return settings


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} cannot be read: {exc}") from exc
    except yaml.YAMLError as exc:
        # Its own text quotes the lines around the mistake, and with them any secret that they hold.
        mark = exc.problem_mark if isinstance(exc, yaml.MarkedYAMLError) else None
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(f"{path}{place}: this is not YAML") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SettingsError(f"{path}: the top level must be a mapping such as `server: …`")
    return content


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _expand(value: Any, path: tuple[str | int, ...], missing: list[str]) -> Any:
    """Replace `${NAME}` and `${NAME:-default}`; a name that is not set and has no default is a mistake."""

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        if (found := os.environ.get(name)) is not None:
            return found
        if default is None:
            missing.append(f"{_path(path)}: the environment variable {name} is not set")
        return default or ""

    if isinstance(value, dict):
        return {key: _expand(item, (*path, key), missing) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, (*path, index), missing) for index, item in enumerate(value)]
    return _VARIABLE.sub(replace, value) if isinstance(value, str) else value


def _unknown_variables() -> list[str]:
    """GATEWAY_GROUP__… variables of no known group: pydantic-settings reads past them without a word.

    Names without `__` are left alone: Kubernetes makes GATEWAY_PORT and the like for a service named "gateway".
    """
    known = {name.upper() for name in Settings.model_fields}
    names = [name for name in os.environ if name.upper().startswith("GATEWAY_") and "__" in name]
    return sorted(name for name in names if name.upper().removeprefix("GATEWAY_").split("__")[0] not in known)


def _explain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "no such setting"
    return str(error["msg"]).removeprefix("Value error, ")


def _path(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc) or "settings"


def _indent(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
