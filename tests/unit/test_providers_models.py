from typing import Any

import pytest

from gateway.domain import Deployment, Prices, Timeouts, Via
from gateway.errors import NotFound
from gateway.providers.models import DEFAULT_CONTEXT_WINDOW, Models
from gateway.settings import Settings, SettingsError

ENVIRON = {"OPENAI_API_KEY": "sk-openai", "ANTHROPIC_API_KEY": "sk-ant", "GROQ_API_KEY": "gsk"}


def models(*entries: dict[str, Any], environ: dict[str, str] | None = None, **settings: Any) -> Models:
    return Models(Settings(models=entries, **settings), ENVIRON if environ is None else environ)


def resolve(model: str, *, environ: dict[str, str] | None = None, **entry: Any) -> Deployment:
    return models({"name": "fast", "model": model, **entry}, environ=environ).resolve("fast")


def test_an_entry_for_openai_goes_the_direct_path() -> None:
    assert resolve("openai/gpt-4o-mini") == Deployment(
        name="fast",
        via=Via.DIRECT,
        provider="openai",
        model="gpt-4o-mini",
        context_window=128_000,
        reply_reserve=4_096,
        encoding="o200k_base",
        exact=True,
        api_base="https://api.openai.com/v1",
        api_key="sk-openai",
        prices=Prices(input=1.5e-07, output=6e-07, cached_input=7.5e-08),
        timeouts=Timeouts(),
    )


@pytest.mark.parametrize(
    ("model", "entry", "via", "asked_for"),
    [
        ("gpt-4o-mini", {}, Via.DIRECT, "gpt-4o-mini"),
        ("groq/openai/gpt-oss-20b", {}, Via.DIRECT, "openai/gpt-oss-20b"),
        ("openai_like/x", {"api_base": "http://127.0.0.1:1/v1"}, Via.DIRECT, "x"),
        ("claude-sonnet-4-5", {}, Via.LITELLM, "anthropic/claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", {}, Via.LITELLM, "anthropic/claude-sonnet-4-5"),
        ("gemini/gemini-2.5-flash", {}, Via.LITELLM, "gemini/gemini-2.5-flash"),
        ("mistral/mistral-large-latest", {}, Via.LITELLM, "mistral/mistral-large-latest"),
        ("azure/my-deployment", {}, Via.LITELLM, "azure/my-deployment"),
        ("openai/gpt-4o-mini", {"via": "litellm"}, Via.LITELLM, "openai/gpt-4o-mini"),
        ("newcomer/m", {"via": "litellm"}, Via.LITELLM, "newcomer/m"),
        ("mistral/m", {"via": "direct", "api_base": "http://127.0.0.1:1/v1"}, Via.DIRECT, "m"),
        ("echo", {}, Via.ECHO, "echo"),
    ],
)
def test_the_way_to_a_model(model: str, entry: dict[str, Any], via: Via, asked_for: str) -> None:
    deployment = resolve(model, **entry)
    assert (deployment.via, deployment.model) == (via, asked_for)


def test_bases_come_from_the_entry_then_the_environment_then_the_table() -> None:
    environ = {"OPENAI_BASE_URL": "http://proxy.test/v1", "OPENAI_API_BASE": "http://older.test/v1"}
    given = resolve("openai/gpt-4o", api_base="http://127.0.0.1:1/v1", environ=environ)
    assert given.api_base == "http://127.0.0.1:1/v1"
    assert resolve("openai/gpt-4o", environ=environ).api_base == "http://proxy.test/v1"
    assert resolve("groq/m", environ={}).api_base == "https://api.groq.com/openai/v1"
    assert resolve("anthropic/claude-sonnet-4-5", environ={}).api_base is None


@pytest.mark.parametrize(("via", "sent"), [("auto", None), ("litellm", "none")])
def test_a_host_of_ones_own_is_not_sent_the_key_of_the_provider_whose_wire_it_speaks(
    via: str, sent: str | None
) -> None:
    environ = {"OPENAI_API_KEY": "sk-openai"}
    deployment = resolve("openai/mine", api_base="http://127.0.0.1:1/v1", via=via, environ=environ)
    assert deployment.api_key == sent


def test_keys_come_from_the_entry_then_the_environment() -> None:
    assert resolve("openai/gpt-4o", api_key="sk-mine").api_key == "sk-mine"
    assert resolve("anthropic/claude-sonnet-4-5").api_key == "sk-ant"
    assert resolve("together_ai/m", environ={"TOGETHERAI_API_KEY": "t"}).api_key == "t"
    assert resolve("openai/gpt-4o", environ={}).api_key is None
    assert resolve("bedrock/m", environ={"AWS_ACCESS_KEY_ID": "AKIA"}).api_key is None
    assert "sk-mine" not in repr(resolve("openai/gpt-4o", api_key="sk-mine"))


@pytest.mark.parametrize(
    ("model", "encoding", "exact"),
    [
        ("openai/gpt-4o", "o200k_base", True),
        ("openai/gpt-5.1", "o200k_base", True),
        ("openai/o3-mini", "o200k_base", True),
        ("openai/gpt-4", "cl100k_base", True),
        ("openai/gpt-3.5-turbo", "cl100k_base", True),
        ("azure/gpt-4o", "o200k_base", True),
        ("openai/davinci", "o200k_base", False),
        ("openai/llama-3", "o200k_base", False),
        ("anthropic/claude-sonnet-4-5", "o200k_base", False),
        ("openrouter/openai/gpt-4", "o200k_base", False),
    ],
)
def test_encodings(model: str, encoding: str, exact: bool) -> None:
    deployment = resolve(model)
    assert (deployment.encoding, deployment.exact) == (encoding, exact)


def test_an_encoding_of_the_settings_own_is_exact_only_if_it_is_the_models() -> None:
    assert resolve("openai/gpt-4", encoding="cl100k_base").exact is True
    other = resolve("openai/gpt-4", encoding="p50k_base")
    assert (other.encoding, other.exact) == ("p50k_base", False)


def test_windows_and_reserves() -> None:
    small = resolve("openai/gpt-4o-mini", context_window=2_000)
    assert (small.context_window, small.reply_reserve) == (2_000, 500)
    assert resolve("openai/gpt-4o-mini", reply_reserve=77).reply_reserve == 77
    echo = resolve("echo")
    assert (echo.context_window, echo.reply_reserve) == (8_192, 2_048)
    assert resolve("echo", context_window=512).context_window == 512
    assert resolve("openai/llama-3").context_window == DEFAULT_CONTEXT_WINDOW


def test_windows_that_had_to_be_assumed_are_known() -> None:
    known = models(
        {"name": "a", "model": "openai/llama-3"},
        {"name": "b", "model": "openai/llama-3", "context_window": 8_192},
        {"name": "c", "model": "openai/gpt-4o"},
        {"name": "d", "model": "echo"},
    )
    assert known.unknown_windows == ("a",)


def test_prices_of_the_settings_own() -> None:
    both = resolve("openai/llama-3", input_cost_per_token=1e-6, output_cost_per_token=2e-6)
    assert both.prices == Prices(input=1e-6, output=2e-6)
    assert resolve("openai/gpt-4o-mini", output_cost_per_token=1e-6).prices == Prices(
        input=1.5e-07, output=1e-6, cached_input=7.5e-08
    )
    assert resolve("openai/llama-3").prices is None


def test_what_else_the_settings_say_goes_along() -> None:
    entry = {"name": "fast", "model": "openai/gpt-4o", "allow_params": ["x_field"]}
    timeouts = {"connect_timeout": 1, "read_timeout": 2, "total_timeout": 3}
    deployment = models(entry, providers=timeouts).resolve("fast")
    assert deployment.timeouts == Timeouts(connect=1, read=2, total=3)
    assert deployment.allow_params == {"x_field"}


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        models(
            {"name": "a", "model": "anthropic/claude-sonnet-4-5", "via": "direct"},
            {"name": "b", "model": "meta-llama/Llama-3", "api_base": "http://127.0.0.1:1/v1"},
            {"name": "c", "model": "hosted_vllm/llama"},
            {"name": "d", "model": "nonesuch"},
            {"name": "e", "model": "echo"},
        )
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["model 'a'", "model 'b'", "model 'c'", "model 'd'"]
    assert "api_base" in lines[1]
    assert "openai/" in lines[2]


def test_needs_litellm() -> None:
    star = {"name": "*", "model": "*"}
    assert models({"name": "a", "model": "openai/gpt-4o"}, star).needs_litellm is False
    assert models({"name": "a", "model": "anthropic/claude-sonnet-4-5"}, star).needs_litellm is True


# ── "*" ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def starred() -> Models:
    return models({"name": "mine", "model": "openai/gpt-4o"}, {"name": "*", "model": "*", "allow_params": ["x"]})


@pytest.mark.parametrize(
    ("name", "via", "asked_for"),
    [
        ("openai/gpt-4o-mini", Via.DIRECT, "gpt-4o-mini"),
        ("gpt-4o-mini", Via.DIRECT, "gpt-4o-mini"),
        ("groq/openai/gpt-oss-20b", Via.DIRECT, "openai/gpt-oss-20b"),
        ("claude-sonnet-4-5", Via.LITELLM, "anthropic/claude-sonnet-4-5"),
    ],
)
def test_a_star_opens_what_the_environment_has_keys_for(starred: Models, name: str, via: Via, asked_for: str) -> None:
    deployment = starred.resolve(name)
    assert (deployment.name, deployment.via, deployment.model) == (name, via, asked_for)
    assert deployment.allow_params == {"x"}
    assert starred.resolve(name) is deployment


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("gemini/gemini-2.5-flash", "GEMINI_API_KEY"),
        ("xai/grok-4.5", "XAI_API_KEY"),
        ("bedrock/anthropic.claude-3", "AWS_ACCESS_KEY_ID"),
        ("hosted_vllm/llama", "HOSTED_VLLM_API_BASE"),
    ],
)
def test_a_missing_key_is_named(starred: Models, name: str, variable: str) -> None:
    with pytest.raises(NotFound, match=variable) as caught:
        starred.resolve(name)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    "name",
    ["nonesuch", "nonesuch/m", "*", "", "openai/", "openai/a b", "openai/../x", "openai/" + "x" * 300, "openai_like/m"],
)
def test_what_no_star_opens(starred: Models, name: str) -> None:
    with pytest.raises(NotFound, match="mine") as caught:
        starred.resolve(name)
    assert caught.value.code == "model_not_found"


def test_without_a_star_only_entries_can_be_named() -> None:
    with pytest.raises(NotFound, match="Models here: mine"):
        models({"name": "mine", "model": "echo"}).resolve("gpt-4o-mini")


def test_a_star_is_not_a_name(starred: Models) -> None:
    assert starred.names() == ["mine"]


def test_names_from_clients_do_not_pile_up(starred: Models) -> None:
    first = starred.resolve("openai/m0")
    for number in range(1, 300):
        starred.resolve(f"openai/m{number}")
    assert starred.resolve("openai/m299") is starred.resolve("openai/m299")
    again = starred.resolve("openai/m0")
    assert again == first
    assert again is not first, "it was forgotten in between"


# ── several deployments, and models that stand in ────────────────────────────────────────────────────────────────

HERE, THERE = "http://here.test:8080/v1", "http://user:word@there.test/v1"


def test_deployments_have_what_is_theirs_and_inherit_the_rest() -> None:
    entry = {
        "name": "fast",
        "context_window": 5000,
        "allow_params": ["x"],
        "deployments": [
            {"model": "openai/m", "api_base": HERE, "api_key": "sk-1", "weight": 2},
            {"model": "anthropic/claude-sonnet-4-5", "context_window": 9000, "input_cost_per_token": 0.5, "name": "c"},
        ],
    }
    found = models(entry)
    [(first, second)] = found.routes["fast"].models
    assert found.resolve("fast") is first
    assert (first.name, first.label, first.id, first.weight) == (
        "fast",
        "openai/m@here.test:8080",
        f"fast/{first.label}",
        2,
    )
    assert (first.api_base, first.api_key, first.via, first.context_window) == (HERE, "sk-1", Via.DIRECT, 5000)
    assert (second.name, second.label, second.via, second.context_window) == ("fast", "c", Via.LITELLM, 9000)
    assert second.prices is not None
    assert second.prices.input == 0.5
    assert first.allow_params == second.allow_params == {"x"}
    assert found.needs_litellm


def test_a_deployment_is_called_by_its_model_and_host_without_its_credential() -> None:
    labels = [{"model": "openai/m", "api_base": THERE}, {"model": "openai/m"}]
    [deployments] = models({"name": "fast", "deployments": labels}).routes["fast"].models
    assert [each.label for each in deployments] == ["openai/m@there.test", "openai/m"]


def test_models_that_stand_in_follow_with_all_their_deployments() -> None:
    found = models(
        {"name": "fast", "model": "openai/gpt-4o", "fallbacks": ["several", "groq/m"]},
        {"name": "several", "deployments": [{"model": "openai/a"}, {"model": "openai/b"}], "fallbacks": ["fast"]},
        {"name": "alone", "model": "echo"},
        {"name": "*", "model": "*"},
    )
    assert [[each.id for each in stage] for stage in found.routes["fast"].models] == [
        ["fast"],
        ["several/openai/a", "several/openai/b"],
        ["groq/m"],
    ]
    assert found.routes.keys() == {"fast", "several"}


def test_everything_that_is_wrong_with_them_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        models(
            {"name": "fast", "deployments": [{"model": "nobody/x", "name": "a"}, {"model": "openai/m"}]},
            {"name": "other", "model": "nobody/y", "fallbacks": ["fast", "nowhere", "mistral/m"]},
            {"name": "*", "model": "*"},
        )
    lines = str(caught.value).splitlines()[1:]
    assert [line.partition(": ")[0] for line in lines] == [
        "  model 'fast', deployment 'a'",
        "  model 'other'",
        "  model 'other'",
        "  model 'other'",
    ]
    assert [name for name in ("nowhere", "mistral/m") if any(f"the fallback {name!r}" in line for line in lines)] == [
        "nowhere",
        "mistral/m",  # its key is not in the environment
    ]
