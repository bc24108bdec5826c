"""What the sessions and key routes take and give: validation and /openapi.json come from the same models."""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import InvalidRequest
from gateway.settings import MAX_HISTORY_MESSAGES
from gateway.wire.json import dump

_MAX_METADATA_BYTES = 16 * 1024
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # escaped, in JSON; not the same six characters after a backslash


def _no_nul(text: str) -> str:
    """PostgreSQL cannot hold it; every store gives the same answer."""
    if "\0" in text:
        raise ValueError("NUL characters cannot be stored")
    return text


def _small_metadata(value: dict[str, Any]) -> dict[str, Any]:
    encoded = dump(value)
    if len(encoded) > _MAX_METADATA_BYTES:
        raise ValueError(f"expected at most {_MAX_METADATA_BYTES} bytes of JSON")
    if _NUL.search(encoded):
        raise ValueError("NUL characters cannot be stored")
    return value


Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_no_nul)]
Metadata = Annotated[dict[str, Any], AfterValidator(_small_metadata)]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SessionInput(_Input):
    """Settings of a session. PUT sets all of them, PATCH those that it names."""

    session_name: Name | None = None
    model: Name | None = Field(None, description="used by chat calls in this session that name no model")
    max_history_messages: int | None = Field(
        None, ge=0, le=MAX_HISTORY_MESSAGES, description="history messages injected at most; null: as the settings say"
    )
    system_prompt: str | None = Field(None, description="pinned: sent first on every turn, never trimmed")
    metadata: Metadata | None = None


class Paging(BaseModel):
    model_config = ConfigDict(extra="ignore")

    limit: int = Field(20, ge=1, le=100)
    offset: int = Field(0, ge=0, le=2**31)


class SessionPaging(Paging):
    include_archived: bool = False


class KeyFilter(BaseModel):
    model_config = ConfigDict(extra="ignore")

    user: str | None = Field(None, description="only this user's keys")


class MessagePaging(Paging):
    limit: int = Field(50, ge=1, le=500)


class SessionOutput(BaseModel):
    session_id: str
    session_name: str | None
    model: str | None
    system_prompt: str | None
    max_history_messages: int
    message_count: int
    total_tokens: int
    is_active: bool
    archived_at: str | None
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    last_message_at: str | None


class MessageOutput(BaseModel):
    """A stored message: its wire form, and what the gateway knows about it."""

    model_config = ConfigDict(extra="allow")

    id: str
    seq: int
    turn_id: str
    role: str
    content: Any
    tokens: int
    latency_ms: float | None
    ttft_ms: float | None
    model: str | None
    status: Literal["complete", "incomplete", "failed"]
    metadata: dict[str, Any] | None
    created_at: str


class KeyInput(_Input):
    user: str = Field(description="name of the key's user, who is created with the first key")
    admin: bool = False
    name: Name | None = None
    expires_in: str | None = Field(None, description="such as 90s, 15m, 12h, 30d or 4w")


class KeyOutput(BaseModel):
    id: str
    user: str
    name: str | None
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class NewKeyOutput(KeyOutput):
    key: str = Field(description="shown this once")


class ModelOutput(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorOutput(BaseModel):
    error: ErrorDetail


M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], data: Any) -> M:
    """The data as the model, or InvalidRequest about the first field that is wrong, with the values it may have."""
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_input=False)[0]
        param = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            raise InvalidRequest(
                f"Unknown field '{param}'; known are {', '.join(model.model_fields)}.",
                code="unknown_parameter",
                param=param,
            ) from None
        if error["type"] == "missing":
            raise InvalidRequest(
                f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
            ) from None
        is_number = error["type"].startswith(("less_than", "greater_than", "int_"))
        reason = _range(model, param) if is_number else None
        text = reason or error["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"Invalid '{param}': {text}.", code="invalid_value", param=param) from None


def _range(model: type[BaseModel], name: str) -> str | None:
    """The range that a numeric field must be in."""
    bounds = model.model_fields[name].metadata
    low = next((bound.ge for bound in bounds if hasattr(bound, "ge")), None)
    high = next((bound.le for bound in bounds if hasattr(bound, "le")), None)
    return None if low is None or high is None else f"expected an integer from {low} to {high}"
