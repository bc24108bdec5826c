"""What was done to keys and stored data."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from gateway.values import value


@value
class AuditEntry:
    """One operation on keys or stored data. Names ids only: nothing in it need ever be erased."""

    id: str
    at: datetime
    action: str
    """Such as `key.create`, `session.purge`, `user.erase`."""
    target: str | None
    """Id of the key, session or user that it was done to; None where it was many."""
    actor_user_id: str | None = None
    """None where it was not done with a key: at the command line, or by a job."""
    actor_key_id: str | None = None
    request_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
