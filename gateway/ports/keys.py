"""What a store does with users and keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gateway.domain import ApiKey, AuditEntry, KeyChanges, Rotation, User, UserChanges
from gateway.ports.page import Page


class Keys(Protocol):
    """Users and keys: part of Store."""

    async def has_keys(self) -> bool:
        """True once any key was ever created."""

    async def add_key(self, key: ApiKey, *, audit: AuditEntry | None = None) -> ApiKey:
        """Store a key; its user is found by `key.user.name`, or made with `key.user.id`. Returns it as stored."""

    async def add_first_keys(self, new: Sequence[tuple[ApiKey, AuditEntry]]) -> bool:
        """Store all of these as `add_key` does, unless there was ever a key: then nothing happens.

        Of several processes that start at once on a new database, one is told True.
        """

    async def find_key(self, key_id: str) -> ApiKey | None: ...

    async def list_keys(self, *, user_name: str | None = None) -> Sequence[ApiKey]:
        """Keys of everyone or of one user, revoked and expired ones too, oldest first."""

    async def revoke_key(self, key_id: str, at: datetime, *, audit: AuditEntry | None = None) -> ApiKey | None:
        """Returns the key as it now is, None if there is none. Revoking twice keeps the first time."""

    async def update_key(self, key_id: str, changes: KeyChanges, *, audit: AuditEntry | None = None) -> ApiKey | None:
        """Returns the key as it now is, None if there is none. What is as it was already leaves no audit entry."""

    async def rotate_key(
        self, key_id: str, rotation: Rotation, *, audit: AuditEntry | None = None
    ) -> tuple[ApiKey, ApiKey] | None:
        """Store a key's successor, and let the key itself expire. Returns the two, the old one first.

        None, and nothing is done, if there is no such key, or it is not usable (any longer) at `rotation.at`. A key
        that was to expire is followed by one that lasts as long.
        """

    async def note_key_uses(self, uses: Mapping[str, datetime]) -> None:
        """By the keys' ids, when each was last used, as far as this process knows: `last_used_at` never moves back.

        A key that is being changed by somebody else may be left out.
        """

    async def add_user(self, user: User, *, audit: AuditEntry | None = None) -> User:
        """The stored user of that name; `user` itself, now stored, if there was none."""

    async def get_user(self, user_id: str) -> User | None: ...

    async def update_user(self, user_id: str, changes: UserChanges, *, audit: AuditEntry | None = None) -> User | None:
        """As update_key. Disabling twice keeps the first time."""

    async def list_users(self, *, limit: int, offset: int) -> Page[User]:
        """In the order of their ids: oldest first."""

    async def erase_user(self, user_id: str, *, audit: AuditEntry | None = None) -> bool:
        """Remove the user, their keys, sessions, messages and search index. False for an unknown one.

        Their ledger rows stay, for the accounts, without the session's id and the request's, which clients can choose.
        """
