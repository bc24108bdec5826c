"""Environment beats file beats defaults; every mistake is told at once, and no secret with it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.addresses import MASK
from gateway.settings import NEVER_FROM_CLIENTS, SettingsError, load_settings, parse_settings
from gateway.wire.chat import PASSED_PARAMS

SECRET = "hunter2-hunter2"


def mistakes(content: dict[str, object]) -> list[str]:
    """The lines that parse_settings complains in, less the first."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(content)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def write(folder: Path, text: str, name: str = "gateway.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# ── where a value comes from ─────────────────────────────────────────────────────────────────────────────────────


def test_without_file_and_environment_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    server = settings.server
    assert (server.host, server.port, server.workers) == ("127.0.0.1", 8000, 1)
    assert settings.storage.url == "sqlite:///./data/gateway.db"
    assert [model.name for model in settings.models] == ["echo", "*"]


def test_the_file_beats_the_defaults_and_the_environment_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SERVER__PORT", "9000")
    server = parse_settings({"server": {"host": "0.0.0.0", "port": 8001}}).server  # noqa: S104 - parsed, not bound
    assert (server.host, server.port, server.shutdown_timeout) == ("0.0.0.0", 9000, 30.0)  # noqa: S104 - see above


def test_a_variable_may_hold_a_whole_group_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MODELS", '[{"name": "fast", "model": "openai/gpt-4o-mini"}]')
    assert [model.name for model in parse_settings({}).models] == ["fast"]


def test_the_file_is_the_argument_else_the_variable_else_the_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argument = write(tmp_path, "server: {port: 1}", "argument.yaml")
    variable = write(tmp_path, "server: {port: 2}", "variable.yaml")
    write(tmp_path, "server: {port: 3}")
    monkeypatch.chdir(tmp_path)
    assert load_settings().server.port == 3
    monkeypatch.setenv("GATEWAY_CONFIG", str(variable))
    assert load_settings().server.port == 2
    assert load_settings(argument).server.port == 1


def test_a_file_that_was_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"missing\.yaml: there is no such file"):
        load_settings(tmp_path / "missing.yaml")
    monkeypatch.setenv("GATEWAY_CONFIG", str(tmp_path / "absent.yaml"))
    with pytest.raises(SettingsError, match=r"absent\.yaml: there is no such file"):
        load_settings()


def test_an_empty_file_holds_the_defaults(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "# nothing yet\n")) == parse_settings({})


def test_settings_are_frozen() -> None:
    settings = parse_settings({})
    for group, name in ((settings, "server"), (settings.server, "port"), (settings.models[0], "model")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(group, name, 1)


# ── ${NAME} ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_are_replaced_wherever_a_text_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM", "example.test")
    monkeypatch.setenv("MY_PORT", "9001")
    model = {"name": "a", "model": "openai/a", "api_base": "https://${UPSTREAM}/v1"}
    settings = parse_settings({"server": {"port": "${MY_PORT}"}, "models": [model]})
    assert settings.server.port == 9001
    assert settings.models[0].api_base == "https://example.test/v1"


@pytest.mark.parametrize(
    ("text", "value"),
    [("${NOT_SET:-fallback}", "fallback"), ("${NOT_SET:-}", ""), ("${IS_SET:-fallback}", "x"), ("$IS_SET", "$IS_SET")],
)
def test_a_default_stands_in_for_a_name_that_is_not_set(text: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("IS_SET", "x")
    assert parse_settings({"server": {"host": text}}).server.host == value


def test_a_replaced_value_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTER", "${INNER}")
    monkeypatch.setenv("INNER", "found")
    assert parse_settings({"server": {"host": "${OUTER}"}}).server.host == "${INNER}"


def test_a_name_that_is_not_set_is_a_mistake_with_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    model = {"name": "a", "model": "a", "api_key": "${NOT_SET}"}
    assert mistakes({"models": [model]}) == ["models.0.api_key: the environment variable NOT_SET is not set"]


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_mistakes_are_told_at_once_with_their_paths_and_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("GATEWAY_SERVRE__PORT", "1")
    monkeypatch.setenv("GATEWAY_LOGGING__LEVEL", "loud")
    told = mistakes(
        {
            "server": {"port": 70_000, "prot": 1},
            "storage": {"url": "mysql://db"},
            "auth": {"cache_seconds": 6},
            "models": [{"name": "a", "model": "${NOT_SET}x"}, {"name": "*", "model": "a"}],
        }
    )
    assert told == [
        "models.0.model: the environment variable NOT_SET is not set",
        "server.port: Input should be less than or equal to 65535",
        "server.prot: no such setting",
        f"storage.url: {URL_FORMS}",
        "auth.cache_seconds: Input should be less than or equal to 5",
        "logging.level: Input should be 'debug', 'info', 'warning' or 'error'",
        'models.1: name "*" goes with model "*", and only with it',
        "GATEWAY_SERVRE__PORT: no such setting",
    ]


def test_a_variable_of_an_unknown_setting_in_a_known_group_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SERVER__PROT", "1")
    assert mistakes({}) == ["server.prot: no such setting"]


def test_variables_that_kubernetes_makes_for_a_service_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("GATEWAY_PORT_8000_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("GATEWAY_SERVICE_HOST", "10.0.0.1")
    assert parse_settings({}).server.port == 8000


def test_a_group_in_a_variable_that_is_not_json_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MODELS", f"- name: {SECRET}")
    monkeypatch.setenv("GATEWAY_SERVRE__PORT", "1")
    environment, unknown = mistakes({})
    assert '"models"' in environment
    assert "not JSON" in environment
    assert unknown == "GATEWAY_SERVRE__PORT: no such setting"


@pytest.mark.parametrize(
    ("models", "mistake"),
    [
        ([], "models: at least one model is needed"),
        ([{"name": "a", "model": "x"}, {"name": "a", "model": "y"}], "models: a: each name may be used once"),
        ([{"name": "a", "model": "*"}], 'models.0: name "*" goes with model "*", and only with it'),
        ([{"model": "x"}], "models.0.name: Field required"),
        ([{"name": "a", "model": "x", "via": "air"}], "models.0.via: Input should be 'auto', 'litellm' or 'direct'"),
        ([{"name": "a"}], "models.0: model is required, or else deployments"),
        (
            [{"name": "a", "model": "x", "deployments": [{"model": "x"}]}],
            "models.0: model, api_base, api_key and via go into each of the deployments",
        ),
        (
            [{"name": "a", "deployments": [{"model": "x"}, {"model": "x"}]}],
            "models.0: several deployments are called x: give each a name of its own",
        ),
        (
            [{"name": "a", "deployments": [{"model": "*"}]}],
            'models.0.deployments.0.model: "*" cannot be one of several deployments',
        ),
        ([{"name": "a", "model": "x", "fallbacks": ["a"]}], "models.0: a cannot be a fallback of its own"),
        ([{"name": "a", "model": "x", "fallbacks": ["b", "b"]}], "models.0: each fallback may be named once"),
        (
            [{"name": "*", "model": "*", "fallbacks": ["b"]}],
            'models.0: "*" has no fallbacks: give them to a model with a name',
        ),
    ],
)
def test_model_entries_that_cannot_be_meant_are_refused(models: list[object], mistake: str) -> None:
    assert mistakes({"models": models}) == [mistake]


@pytest.mark.parametrize("workers", [0, -1, 1.5, "auto"])
def test_workers_are_counted(workers: object) -> None:
    [mistake] = mistakes({"server": {"workers": workers}})
    assert mistake.startswith("server.workers: Input should be ")


URL_FORMS = "must be sqlite:///PATH without options, postgresql://USER:PASSWORD@HOST/DATABASE, or memory:"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///data/gateway.db",
        "sqlite:////var/lib/gateway.db",
        "memory:",
        "postgresql://me:secret@db.test:5432/chat?sslmode=require",
        "postgres://db.test/chat",
    ],
)
def test_databases_that_are_known_are_taken(url: str) -> None:
    assert parse_settings({"storage": {"url": url}}).storage.url == url


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite://", "gateway.db", ""])
def test_databases_that_are_not_known_are_refused(url: str) -> None:
    assert mistakes({"storage": {"url": url}}) == [f"storage.url: {URL_FORMS}"]


def test_a_password_that_is_not_encoded_is_a_mistake_that_does_not_show_it() -> None:
    [mistake] = mistakes({"storage": {"url": f"postgresql://alice:{SECRET}/x@127.0.0.1:5432/app"}})
    assert mistake.startswith("storage.url: must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE: percent-encode")
    assert SECRET not in mistake


TABLES = {"messages": "app_chat_messages", "sessions": "app.app_chat_sessions"}
EXTERNAL = {"url": "postgresql://host/db", "schema": "external", "tables": TABLES}


def test_tables_of_the_hosts_are_taken() -> None:
    storage = parse_settings({"storage": EXTERNAL}).storage
    assert (storage.schema_, storage.tables.messages) == ("external", "app_chat_messages")


NEEDS = "storage: schema: external needs tables.messages, tables.sessions and a postgresql:// url"


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"url": "sqlite:///x.db"}, NEEDS),
        ({"tables": {"messages": "m"}}, NEEDS),
        ({"tables": {}}, NEEDS),
        ({"schema": "own"}, "storage: tables are for schema: external"),
    ],
)
def test_tables_of_the_hosts_are_named_whole_or_not_at_all(changes: dict[str, object], mistake: str) -> None:
    assert mistakes({"storage": {**EXTERNAL, **changes}}) == [mistake]


@pytest.mark.parametrize("name", ['a"; DROP TABLE users; --', "a.b.c", "1a", "", "a b", "ä", "a" * 64, "a\n"])
def test_names_of_tables_are_plain_ones(name: str) -> None:
    [mistake] = mistakes({"storage": {**EXTERNAL, "tables": {**TABLES, "messages": name}}})
    assert mistake == (
        "storage.tables.messages: must be letters, digits and _, not beginning with a digit, at most 63; "
        "or two such: schema.table"
    )


def test_a_password_in_a_databases_address_is_not_shown() -> None:
    assert "secret" not in repr(parse_settings({"storage": {"url": "postgresql://me:secret@host/db"}}))


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text", "1: 2\n"])
def test_a_file_must_be_a_mapping(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must be a mapping"):
        load_settings(write(tmp_path, text))


def test_a_file_that_is_not_text_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"server: {host: \xff}")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(path)


# ── what clients may not have ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["api_base", "api_key", "mock_response", "fallbacks", "extra_headers", "session_id"])
def test_a_field_that_steers_the_gateway_cannot_be_left_to_clients(name: str) -> None:
    model = {"name": "a", "model": "a", "allow_params": ["repetition_context", name]}
    assert mistakes({"models": [model]}) == [f"models.0.allow_params: {name} cannot be left to clients"]


def test_a_field_of_the_model_itself_can_be_left_to_clients() -> None:
    model = {"name": "a", "model": "a", "allow_params": ["repetition_context"]}
    assert parse_settings({"models": [model]}).models[0].allow_params == {"repetition_context"}


def test_nothing_that_is_always_passed_on_is_forbidden() -> None:
    assert not PASSED_PARAMS & NEVER_FROM_CLIENTS


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_AUTH__PEPPER", SECRET)
    settings = parse_settings({"models": [{"name": "a", "model": "a", "api_key": SECRET}]})
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in settings.model_dump_json()
    pepper, api_key = settings.auth.pepper, settings.models[0].api_key
    assert pepper is not None
    assert api_key is not None
    assert pepper.get_secret_value() == api_key.get_secret_value() == SECRET


@pytest.mark.parametrize(
    "content",
    [
        {"auth": {"pepper": [SECRET]}},
        {"models": [{"name": "a", "model": "a", "api_key": {"value": SECRET}}]},
        {"models": [{"name": "a", "model": "a", "api_base": SECRET}]},
        {"models": [{"name": "a", "api_key": SECRET}]},
        {"server": SECRET},
    ],
)
def test_a_mistake_does_not_tell_the_value(content: dict[str, object]) -> None:
    assert SECRET not in "\n".join(mistakes(content))


@pytest.mark.parametrize(
    "text",
    [
        f'models:\n  - name: a\n    api_key: "{SECRET}\n',
        f"auth: {{pepper: {SECRET}: x}}\n",
        f"auth:\n  pepper: *{SECRET}\n",
        f"auth:\n  pepper: {SECRET}\n x: y\n",
    ],
)
def test_a_file_that_is_not_yaml_is_not_quoted(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gateway\.yaml, line \d+, column \d+: this is not YAML") as caught:
        load_settings(write(tmp_path, text))
    assert SECRET not in str(caught.value)


def test_what_stands_twice_is_told_with_both_lines(tmp_path: Path) -> None:
    """YAML would take the last one, and nobody would miss the first before somebody calls its model."""
    text = f"models: []\nserver:\n  port: 1\n\n  port: 2\nauth: {{pepper: a, pepper: {SECRET}}}\nmodels:\n  - a\n"
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text))
    _, *mistakes = str(caught.value).splitlines()
    twice = {"port": (5, 3), "pepper": (6, 6), "models": (7, 1)}
    assert mistakes == [f"  line {at}: {key} is in line {first} already" for key, (at, first) in twice.items()]


def test_the_same_in_several_places_is_no_mistake(tmp_path: Path) -> None:
    text = "models:\n  - &one {name: a, model: echo}\n  - {<<: *one, name: b}\n"
    assert [model.name for model in load_settings(write(tmp_path, text)).models] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"auth": {"pepper": MASK}}, "auth.pepper"),
        ({"storage": {"url": f"postgresql://alice:{MASK}@db/app"}}, "storage.url"),
        ({"models": [{"name": "a", "model": "a", "api_key": MASK}]}, "models.0.api_key"),
        ({"models": [{"name": "a", "model": "a", "api_base": f"https://{MASK}@host.test/v1"}]}, "models.0.api_base"),
    ],
)
def test_a_mask_is_not_taken_for_the_secret(content: dict[str, object], path: str) -> None:
    [mistake] = mistakes(content)
    assert mistake.startswith(f"{path}: {MASK} is where `gateway config show` left out a secret")


def test_a_variable_may_give_the_secret_that_is_masked_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_AUTH__PEPPER", SECRET)
    assert parse_settings({"auth": {"pepper": MASK}}).auth.pepper_text == SECRET


def test_every_setting_that_is_a_number_has_bounds_and_says_what_it_counts() -> None:
    settings = parse_settings({})
    for group in type(settings).model_fields:
        value = getattr(settings, group)
        for name, field in getattr(type(value), "model_fields", {}).items():
            if field.annotation in (int, float):
                assert field.metadata, f"{group}.{name} takes any number"
                assert field.description, f"{group}.{name} does not say what it counts"


def test_a_key_that_pydantic_settings_would_take_for_an_option_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="_env_prefix: no such setting"):
        parse_settings({"_env_prefix": "OTHER_"})


@pytest.mark.parametrize("url", ["http://localhost:4318", "https://otel.test/collect", "http://[::1]:4318/", None])
def test_a_collector_is_a_base_url(url: str | None) -> None:
    assert parse_settings({"telemetry": {"otlp_endpoint": url}}).telemetry.otlp_endpoint == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:4318", "must be http://HOST:PORT"),
        ("grpc://localhost:4317", "must be http://HOST:PORT"),
        (f"https://me:{SECRET}@otel.test", "OTEL_EXPORTER_OTLP_HEADERS"),
        (f"https://otel.test?key={SECRET}", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://localhost:4318/v1/traces", "without /v1/traces"),
    ],
)
def test_a_collectors_url_that_cannot_be_meant_is_refused_without_its_secret(url: str, told: str) -> None:
    [mistake] = mistakes({"telemetry": {"otlp_endpoint": url}})
    assert mistake.startswith("telemetry.otlp_endpoint: ")
    assert told in mistake
    assert SECRET not in mistake
