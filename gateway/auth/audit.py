"""Entries of the audit log: who did what to which id.

They outlive what they tell of, a user's erasure too: ids and counts go into them, never a name or a text.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.domain import AuditEntry
from gateway.ids import new_audit_id


@dataclass(frozen=True, slots=True)
class Actor:
    """Whose key did something, and by which request; nobody's at the command line."""

    user_id: str | None = None
    key_id: str | None = None
    request_id: str | None = None


OPERATOR = Actor()
"""Whoever may use the command line."""


def audit_entry(action: str, target: str | None, actor: Actor = OPERATOR, **details: int | str | bool) -> AuditEntry:
    """An entry of this moment. `details` are ids and counts."""
    return AuditEntry(
        id=new_audit_id(),
        at=datetime.now(UTC),
        action=action,
        target=target,
        actor_user_id=actor.user_id,
        actor_key_id=actor.key_id,
        request_id=actor.request_id,
        details=details,
    )
