"""Limits of keys and users, as the routes and the command line take them."""

from collections.abc import Set

from gateway.api.schemas import KeyPatch, LimitsInput, UserPatch
from gateway.domain import UNLIMITED, Limits


def limits_of(given: LimitsInput | None) -> Limits:
    return UNLIMITED if given is None else Limits(**given.model_dump())


def named_limits(given: KeyPatch | UserPatch) -> Set[str]:
    """What KeyChanges and UserChanges are to name: single limits, or `limits` where all are cleared."""
    if "limits" not in given.model_fields_set:
        return frozenset()
    return {"limits"} if given.limits is None else given.limits.model_fields_set
