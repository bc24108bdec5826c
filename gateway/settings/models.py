"""The list `models` of gateway.yaml: what clients may ask for, and what serves it."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.settings.section import Section

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


class DeploymentSettings(Section):
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


class ModelSettings(Section):
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
