"""What the routes take: validation and /openapi.json come from the same models."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from starlette.datastructures import QueryParams

from gateway.auth.changing import OVERLAP
from gateway.domain import (
    IMPORT_MARK,
    MAX_HISTORY_MESSAGES,
    MAX_METADATA_BYTES,
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    GroupBy,
    Status,
)
from gateway.errors import InvalidRequest
from gateway.ledger import MAX_POINTS, Step, TurnOrder
from gateway.storage.texts import has_nul, is_storable
from gateway.wire.json import dump

_PAIR = re.compile(r"metadata\[(.*)\]", re.DOTALL)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?", re.ASCII)


MAX_LIMIT = 10**15
"""Of tokens or dollars: beyond it nothing is limited, and within it every number is exact in JSON."""

_FIRST_YEAR = 1970
"""Before it nothing happened; from it on 30 days can be taken off any time."""


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError("NUL characters and halves of surrogate pairs cannot be stored")
    return text


def _small_metadata(value: dict[str, Any]) -> dict[str, Any]:
    encoded = dump(value)
    if len(encoded) > MAX_METADATA_BYTES:
        raise ValueError(f"expected at most {MAX_METADATA_BYTES} bytes of JSON")
    if has_nul(encoded):
        raise ValueError("NUL characters cannot be stored")
    return value


def _unmarked(value: dict[str, Any]) -> dict[str, Any]:
    if IMPORT_MARK in value:
        raise ValueError(f"{IMPORT_MARK!r} marks sessions that are not imported to their end")
    return value


def _moment(text: Any) -> datetime:
    """A date, which is its first moment in UTC, or an RFC 3339 time."""
    try:
        if not isinstance(text, str) or _MOMENT.fullmatch(text.upper()) is None:
            raise ValueError  # noqa: TRY301 - as for a date that does not exist
        given = datetime.fromisoformat(text.upper())
        moment = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("expected a date such as 2026-03-01 or a time such as 2026-03-01T12:00:00Z") from None
    if moment.year < _FIRST_YEAR:
        raise ValueError(f"expected a time after {_FIRST_YEAR}")
    return moment


Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_storable)]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string"})]
ModelNames = Annotated[list[Name], Field(min_length=1, max_length=100)]
Metadata = Annotated[dict[str, Any], AfterValidator(_small_metadata), AfterValidator(_unmarked)]


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


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
    ttl_seconds: int | None = Field(
        None,
        ge=MIN_TTL_SECONDS,
        le=MAX_TTL_SECONDS,
        description="removed for good so long after its last message, or its creation; null: never",
    )


_Count = Annotated[int | None, Field(ge=1, le=MAX_LIMIT)]
_Dollars = Annotated[float | None, Field(gt=0, le=MAX_LIMIT, allow_inf_nan=False)]


class LimitsInput(_Input):
    """What may be used at most. null: as much as they like. Days and months are the calendar's, in UTC."""

    requests_per_minute: _Count = None
    tokens_per_minute: _Count = None
    parallel_calls: _Count = None
    tokens_per_day: _Count = None
    tokens_per_month: _Count = None
    dollars_per_day: _Dollars = None
    dollars_per_month: _Dollars = None


class KeyInput(_Input):
    user: str = Field(description="name of the key's user, who is created with the first key")
    admin: bool = Field(False, description="whether it may use /admin and /metrics too")
    name: Name | None = None
    expires_in: str | None = Field(None, description="such as 90s, 15m, 12h, 30d or 4w")
    allowed_models: ModelNames | None = Field(None, description="names that it may send as model; null: any")
    limits: LimitsInput | None = None


class KeyPatch(_Input):
    """What is to change about a key."""

    name: Name | None = None
    admin: bool = Field(  # of no default that a document could tell: clients made from it would send it, unasked
        default_factory=bool, description="whether it may use /admin and /metrics too"
    )
    allowed_models: ModelNames | None = Field(None, description="null: any")
    limits: LimitsInput | None = Field(None, description="those that are named change; null: none at all")
    expires_in: str | None = Field(None, description="from now, such as 30d; null: never")


class RotationInput(_Input):
    overlap: str = Field(OVERLAP, description="for how long the old key stays valid, such as 24h; 0s: not at all")


class UserInput(_Input):
    name: str
    limits: LimitsInput | None = None


class UserPatch(_Input):
    """What is to change about a user."""

    disabled: bool | None = Field(None, description="whether none of the user's keys is valid")
    limits: LimitsInput | None = Field(None, description="those that are named change; null: none at all")


class SignInInput(_Input):
    key: str


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Query(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Paging(_Query):
    limit: int = Field(20, ge=1, le=100)
    offset: int = Field(0, ge=0, le=2**31)


class SessionPaging(Paging):
    include_archived: bool = False
    metadata: dict[str, str] = Field(
        default_factory=dict,
        max_length=16,
        description="metadata[key]=value: only sessions whose metadata has this text; of several, all of them",
    )


class SearchPaging(Paging):
    q: str = Field(max_length=1000, description="words, all of which must be found; nothing in it has a meaning beyond")
    include_archived: bool = False


class MessagePaging(Paging):
    limit: int = Field(50, ge=1, le=500)


class AuditPaging(Paging):
    limit: int = Field(50, ge=1, le=500)


class KeyFilter(_Query):
    user: str | None = Field(None, description="only this user's keys")


class OwnUsageQuery(_Query):
    group_by: Annotated[GroupBy, WithJsonSchema({"type": "string", "enum": list(GroupBy)})] = GroupBy.DAY
    since: Moment | None = Field(
        None, alias="from", description="a date, which begins in UTC, or an RFC 3339 time; 30 days before to"
    )
    until: Moment | None = Field(None, alias="to", description="as from, itself not included; the end of today")
    format: Literal["json", "csv"] = "json"


class UsageQuery(OwnUsageQuery):
    user: str | None = Field(None, description="only this user's, by name or id")


_MODEL = "only turns of this model, as it was asked for"
_KEY = "only turns of the key with this id"
_USER = "only this user's, by name or id"


class OwnActivityQuery(_Query):
    since: Moment | None = Field(None, alias="from", description="as for usage; 24 hours before to")
    until: Moment | None = Field(None, alias="to", description="as from, itself not included; now")
    step: Annotated[Step, WithJsonSchema({"type": "string", "enum": list(Step)})] | None = Field(
        None, description=f"the finest that makes 200 points at most; {MAX_POINTS} may be asked for"
    )
    model: str | None = Field(None, description=_MODEL)
    key: str | None = Field(None, description=_KEY)


class ActivityQuery(OwnActivityQuery):
    user: str | None = Field(None, description=_USER)


class OwnTurnsQuery(Paging):
    limit: int = Field(50, ge=1, le=500)
    since: Moment | None = Field(None, alias="from", description="as for usage; 30 days before to")
    until: Moment | None = Field(None, alias="to", description="as from, itself not included; the end of today")
    order: Annotated[TurnOrder, WithJsonSchema({"type": "string", "enum": list(TurnOrder)})] = TurnOrder.NEWEST
    status: Annotated[Status, WithJsonSchema({"type": "string", "enum": list(Status)})] | None = None
    error: str | None = Field(None, description="only turns with this error's code, or HTTP status")
    model: str | None = Field(None, description=_MODEL)
    key: str | None = Field(None, description=_KEY)
    session_id: str | None = None


class TurnsQuery(OwnTurnsQuery):
    user: str | None = Field(None, description=_USER)


class Deletion(_Query):
    purge: bool = Field(False, description="remove at once and for good, not only hide")


class Erasure(_Query):
    purge: bool = Field(False, description="must be true: what is removed cannot be brought back")


# ── validating ───────────────────────────────────────────────────────────────────────────────────────────────────

M = TypeVar("M", bound=BaseModel)


def validate_query(model: type[M], query: QueryParams) -> M:
    """As `validate`, for a query, in which `metadata[key]=value` is a pair of the object `metadata`."""
    pairs = {match[1]: value for name, value in query.multi_items() if (match := _PAIR.fullmatch(name))}
    values: dict[str, Any] = {"metadata": pairs, **query} if pairs else {**query}
    return validate(model, values)


def validate(model: type[M], data: Any) -> M:
    """The data as the model, or InvalidRequest about the first field that is wrong, with the values it may have."""
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_input=False)[0]
        param = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            raise InvalidRequest(
                f"Unknown field '{param}'; known are {', '.join(_owner(model, error['loc']).model_fields)}.",
                code="unknown_parameter",
                param=param,
            ) from None
        if error["type"] == "missing":
            raise InvalidRequest(
                f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
            ) from None
        is_number = error["type"].startswith(("less_than", "greater_than", "int_"))
        reason = _range(_owner(model, error["loc"]), str(error["loc"][-1])) if is_number else None
        text = reason or error["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"Invalid '{param}': {text}.", code="invalid_value", param=param) from None


def _owner(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """Which model the field at this place belongs to: this one, or one that is nested in it."""
    for step in place[:-1]:
        kinds = get_args(model.model_fields[str(step)].annotation) if str(step) in model.model_fields else ()
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return model


def _range(model: type[BaseModel], name: str) -> str | None:
    """The range that a numeric field must be in."""
    bounds = model.model_fields[name].metadata
    low = next((bound.ge for bound in bounds if hasattr(bound, "ge")), None)
    high = next((bound.le for bound in bounds if hasattr(bound, "le")), None)
    return None if low is None or high is None else f"expected an integer from {low} to {high}"
