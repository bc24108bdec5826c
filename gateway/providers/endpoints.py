"""Where providers are and which environment variables hold their keys, as litellm has them.

Bases and names are those of litellm's `get_llm_provider_logic.py` and of the providers' `transformation.py` beside it.
Left to litellm, although it counts them as compatible: mistral, whose API refuses fields that the direct path sends or
passes on (`stream_options`, `max_completion_tokens`, `seed`).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An upstream that speaks OpenAI's wire. `keys` and `bases` are environment variables, the first one set counts."""

    base: str | None
    keys: tuple[str, ...]
    bases: tuple[str, ...]
    needs_key: bool = True


DIRECT: Mapping[str, Endpoint] = {
    "openai": Endpoint("https://api.openai.com/v1", ("OPENAI_API_KEY",), ("OPENAI_BASE_URL", "OPENAI_API_BASE")),
    "cerebras": Endpoint("https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",), ("CEREBRAS_API_BASE",)),
    "deepinfra": Endpoint("https://api.deepinfra.com/v1/openai", ("DEEPINFRA_API_KEY",), ("DEEPINFRA_API_BASE",)),
    "deepseek": Endpoint("https://api.deepseek.com/beta", ("DEEPSEEK_API_KEY",), ("DEEPSEEK_API_BASE",)),
    "fireworks_ai": Endpoint(
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
        ("FIREWORKS_API_BASE",),
    ),
    "groq": Endpoint("https://api.groq.com/openai/v1", ("GROQ_API_KEY",), ("GROQ_API_BASE",)),
    "hosted_vllm": Endpoint(None, ("HOSTED_VLLM_API_KEY",), ("HOSTED_VLLM_API_BASE",), needs_key=False),
    "llamafile": Endpoint("http://127.0.0.1:8080/v1", ("LLAMAFILE_API_KEY",), ("LLAMAFILE_API_BASE",), needs_key=False),
    "lm_studio": Endpoint(None, ("LM_STUDIO_API_KEY",), ("LM_STUDIO_API_BASE",), needs_key=False),
    "nvidia_nim": Endpoint("https://integrate.api.nvidia.com/v1", ("NVIDIA_NIM_API_KEY",), ("NVIDIA_NIM_API_BASE",)),
    "openrouter": Endpoint(
        "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY", "OR_API_KEY"), ("OPENROUTER_API_BASE",)
    ),
    "perplexity": Endpoint(
        "https://api.perplexity.ai", ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"), ("PERPLEXITY_API_BASE",)
    ),
    "sambanova": Endpoint("https://api.sambanova.ai/v1", ("SAMBANOVA_API_KEY",), ("SAMBANOVA_API_BASE",)),
    "together_ai": Endpoint(
        "https://api.together.ai/v1",
        ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"),
        ("TOGETHER_AI_API_BASE",),
    ),
    "xai": Endpoint("https://api.x.ai/v1", ("XAI_API_KEY",), ("XAI_API_BASE",)),
}

OPENAI_LIKE = frozenset({"custom_openai", "openai_like"})
"""litellm's names for any upstream on OpenAI's wire: direct too, but only with an `api_base` of their own."""

_CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "azure": ("AZURE_API_KEY",),
    "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_BEARER_TOKEN_BEDROCK"),
    "cohere_chat": ("COHERE_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "vertex_ai": ("VERTEXAI_PROJECT",),
}
"""Providers behind litellm whose credential is not in `NAME_API_KEY`."""


_ACCOUNTS = frozenset({"bedrock", "sagemaker", "vertex_ai"})
"""Providers whose credential is an account's, several variables and files, which litellm's SDKs read themselves."""


def credential_names(provider: str) -> tuple[str, ...]:
    """The environment variables any of which gives access to the provider."""
    if endpoint := DIRECT.get(provider):
        return endpoint.keys
    return _CREDENTIALS.get(provider) or (f"{provider.upper().replace('-', '_')}_API_KEY",)


def key_names(provider: str) -> tuple[str, ...]:
    """Those of them that hold one key, to be sent as it is."""
    return () if provider in _ACCOUNTS else credential_names(provider)
