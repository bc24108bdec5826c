"""Entries of the audit log: who did what to which id.

They outlive what they tell of, a user's erasure too: ids and counts go into them, never a name or a text. Of an id that
a client can choose (a session's, with `auto_create` or an import; a request's) its SHA-256 goes in: whoever knows the
id finds the entry, and the entry does not tell it.
"""

import hashlib
import re
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


_OURS = re.compile(r"(sess|user|req)_[0-9A-HJKMNP-TV-Z]{26}|key_[0-9a-z]+")
"""Ids as ids.py and auth/keys.py make them."""

OPERATOR = Actor()
"""Whoever may use the command line."""


def audit_entry(action: str, target: str | None, actor: Actor = OPERATOR, **details: int | str | bool) -> AuditEntry:
    """An entry of this moment. `details` are ids and counts."""
    return AuditEntry(
        id=new_audit_id(),
        at=datetime.now(UTC),
        action=action,
        target=_without_choice(target),
        actor_user_id=actor.user_id,
        actor_key_id=actor.key_id,
        request_id=_without_choice(actor.request_id),
        details=details,
    )


def _without_choice(an_id: str | None) -> str | None:
    if an_id is None or _OURS.fullmatch(an_id):
        return an_id
    return "sha256:" + hashlib.sha256(an_id.encode()).hexdigest()
