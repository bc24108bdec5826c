"""The sections of gateway.yaml, but for its models: each setting with its default, its bounds, and what it is."""

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.addresses import POSTGRESQL, check_postgres_url, check_redis_url
from gateway.domain import MAX_HISTORY_MESSAGES, Limits
from gateway.settings.section import Section


class ServerSettings(Section):
    """Where the gateway listens, and with how many processes. `gateway serve` has options for the first three."""

    host: str = Field("127.0.0.1", description="the address to listen on; 0.0.0.0 for every one")
    port: int = Field(8000, ge=0, le=65535, description="0 takes any free port")
    workers: int = Field(1, ge=1, description="processes that serve")
    max_body_bytes: int = Field(20 * 1024 * 1024, ge=1024, description="a larger request body is answered with 413")
    shutdown_timeout: float = Field(30.0, ge=0, le=3600, description="seconds that running turns get after SIGTERM")


_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")


class ExternalTables(Section):
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


class StorageSettings(Section):
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


class AuthSettings(Section):
    """How API keys are stored and looked up."""

    pepper: SecretStr | None = Field(None, description="keys are stored as HMAC-SHA-256 with it, else as SHA-256")
    cache_seconds: float = Field(
        5.0, ge=0, le=5, description="how long a key found valid is believed; also the longest a revoked one works"
    )

    @property
    def pepper_text(self) -> str | None:
        return None if self.pepper is None else self.pepper.get_secret_value()


class SessionSettings(Section):
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


class RetentionSettings(Section):
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


class LimitDefaults(Section):
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


class LimitSettings(Section):
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


class ProviderSettings(Section):
    """Calls to all upstreams."""

    connect_timeout: float = Field(10.0, gt=0, le=600, description="seconds to reach an upstream")
    read_timeout: float = Field(300.0, gt=0, le=3600, description="seconds of silence, within a stream too")
    total_timeout: float = Field(600.0, gt=0, le=7200, description="seconds for one whole call")
    max_connections: int = Field(1000, ge=1, le=100_000, description="open connections to all upstreams together")


class DashboardSettings(Section):
    """The page for operators and users at /dashboard."""

    enabled: bool = Field(True, description="false: there is no page, and nobody can sign in")


class LoggingSettings(Section):
    """The log, which goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")
    format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal, else json")


class MetricsSettings(Section):
    """What `GET /metrics` tells, and whom."""

    public: bool = Field(False, description="whether it is answered without a key, else to admins' keys alone")
    user_labels: int = Field(
        0, ge=0, le=1000, description="users that each process also counts by name; 0: none, and no such metrics"
    )


class TelemetrySettings(Section):
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


class RoutingSettings(Section):
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
