"""The things that the gateway is about, as frozen values. Words are those of docs/architecture.md.

`keys` holds who asks and what they may use, `sessions` and `messages` what is remembered, `usage` what turns cost and
the sums of it, `audit` what was done to keys and stored data, `deployments` where calls go.

Times are aware datetimes in UTC; durations are milliseconds as floats; money is US dollars; token counts are ints.
"""

from gateway.domain.audit import AuditEntry
from gateway.domain.deployments import Deployment, Prices, Timeouts, Via
from gateway.domain.keys import (
    UNLIMITED,
    ApiKey,
    Caller,
    KeyChanges,
    Limits,
    Rotation,
    Scope,
    User,
    UserChanges,
)
from gateway.domain.messages import HistoryMessage, NewMessage, SearchHit, Status, StoredMessage
from gateway.domain.sessions import (
    IMPORT_MARK,
    MAX_HISTORY_MESSAGES,
    MAX_METADATA_BYTES,
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    Session,
    SessionChanges,
)
from gateway.domain.usage import (
    MAX_USAGE_ROWS,
    GroupBy,
    LedgerEntry,
    SessionStats,
    Usage,
    UsageRow,
    UsageSums,
)

__all__ = [
    "IMPORT_MARK",
    "MAX_HISTORY_MESSAGES",
    "MAX_METADATA_BYTES",
    "MAX_TTL_SECONDS",
    "MAX_USAGE_ROWS",
    "MIN_TTL_SECONDS",
    "UNLIMITED",
    "ApiKey",
    "AuditEntry",
    "Caller",
    "Deployment",
    "GroupBy",
    "HistoryMessage",
    "KeyChanges",
    "LedgerEntry",
    "Limits",
    "NewMessage",
    "Prices",
    "Rotation",
    "Scope",
    "SearchHit",
    "Session",
    "SessionChanges",
    "SessionStats",
    "Status",
    "StoredMessage",
    "Timeouts",
    "Usage",
    "UsageRow",
    "UsageSums",
    "User",
    "UserChanges",
    "Via",
]
