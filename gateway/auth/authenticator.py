"""Bearer key → caller, and the dashboard's sign-in → caller.

A key found valid is believed for `cache_seconds`, under its full digest, so that revoking one anywhere works everywhere
within that time; as long under its id, for a sign-in, whose signature is checked every time. Unknown keys are never
cached: a key works from the moment that it exists. An answer of the store that was asked for before something changed
through this process may tell how it was: it is good for the request that asked, and not remembered.

When keys were used is noted in memory alone: a job takes the notes to the store (jobs/key_uses.py).
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from gateway.auth.keys import hash_key, parse_key
from gateway.auth.sign_in import SignIn, new_sign_in, parse_sign_in
from gateway.domain import ApiKey, Caller
from gateway.errors import AuthenticationFailed
from gateway.ports import Store

_MAX_CACHED = 10_000


class Authenticator:
    def __init__(
        self,
        store: Store,
        *,
        pepper: str | None,
        cache_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[ApiKey, Caller, float]] = OrderedDict()
        self._uses: dict[str, datetime] = {}
        self._changes = 0
        """How many were made through this process."""

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller behind an `Authorization` header. Raises AuthenticationFailed, StorageUnavailable."""
        text = _bearer(authorization)
        digest = hash_key(text, self._pepper)
        cached = self._cache.get(digest)
        if cached is not None and self._clock() < cached[2]:
            key, caller, _ = cached
        else:
            key, caller = await self._learn(digest, self._find(text, digest))
        now = datetime.now(UTC)
        if not key.is_usable(now):
            self._cache.pop(digest, None)
            raise _ended(key)
        self._uses[key.id] = now
        return caller

    async def sign_in(self, text: str) -> tuple[Caller, SignIn]:
        """A key's caller, and what stands for the key from now on. Raises as `authenticate` does."""
        caller = await self.authenticate(f"Bearer {text}")
        key = await self._store.find_key(caller.key_id)
        if key is None:
            raise _signed_out()
        return caller, new_sign_in(key, self._pepper, time.time())

    async def signed_in(self, text: str) -> Caller:
        """The caller behind the value of a sign-in's cookie. Raises AuthenticationFailed, StorageUnavailable."""
        sign_in = parse_sign_in(text)
        if sign_in is None:
            raise _signed_out()
        place = sign_in.key_id.encode()
        cached = self._cache.get(place)
        if cached is not None and self._clock() < cached[2]:
            key, caller, _ = cached
        else:
            key, caller = await self._learn(place, self._find_signed_in(sign_in.key_id))
        now = datetime.now(UTC)
        if not key.is_usable(now) or not sign_in.is_valid(key, self._pepper, now.timestamp()):
            self._cache.pop(place, None)
            raise _signed_out()
        self._uses[key.id] = now
        return caller

    def take_uses(self) -> Mapping[str, datetime]:
        """When each key was last used since this was last asked, by the keys' ids."""
        uses, self._uses = self._uses, {}
        return uses

    def forget(self, key: ApiKey) -> None:
        """Believe nothing cached about a key: it has just been changed through this process."""
        self._changes += 1
        self._cache.pop(key.hash, None)
        self._cache.pop(key.id.encode(), None)

    def forget_user(self, user_id: str) -> None:
        """Believe nothing cached about any key of a user, who has just been changed or erased through this process."""
        self._changes += 1
        for digest in [digest for digest, (_, caller, _) in self._cache.items() if caller.user_id == user_id]:
            del self._cache[digest]

    async def _find(self, text: str, digest: bytes) -> ApiKey:
        key_id = parse_key(text)
        key = await self._store.find_key(key_id) if key_id is not None else None
        if key is None or not hmac.compare_digest(key.hash, digest):
            raise AuthenticationFailed("Incorrect API key provided. Keys of this gateway start with sk-gw-.")
        return key

    async def _find_signed_in(self, key_id: str) -> ApiKey:
        key = await self._store.find_key(key_id)
        if key is None:
            raise _signed_out()
        return key

    async def _learn(self, place: bytes, answer: Awaitable[ApiKey]) -> tuple[ApiKey, Caller]:
        """Await the store's answer, and believe it from now on, unless something was changed meanwhile."""
        asked_at, changes = self._clock(), self._changes  # the answer may be as old as the question
        key = await answer
        caller = _caller(key)
        if changes == self._changes:
            self._cache[place] = (key, caller, asked_at + self._cache_seconds)
            self._cache.move_to_end(place)
            if len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        return key, caller


def _ended(key: ApiKey) -> AuthenticationFailed:
    if key.user.disabled_at is not None:
        return AuthenticationFailed("The user of this API key has been disabled. Ask whoever runs this gateway.")
    return AuthenticationFailed("This API key has been revoked or has expired.")


def _caller(key: ApiKey) -> Caller:
    return Caller(
        user_id=key.user.id,
        user_name=key.user.name,
        key_id=key.id,
        scopes=key.scopes,
        allowed_models=key.allowed_models,
        limits=key.limits,
        user_limits=key.user.limits,
    )


def _signed_out() -> AuthenticationFailed:
    return AuthenticationFailed("This sign-in is over, or its key is no longer valid. Sign in again at /dashboard.")


def _bearer(authorization: str | None) -> str:
    if authorization is None:
        raise AuthenticationFailed(
            "You didn't provide an API key. Send it as `Authorization: Bearer YOUR_KEY`; "
            "`gateway keys create --user NAME` makes one.",
            code="missing_api_key",
        )
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise AuthenticationFailed("Send the API key as `Authorization: Bearer YOUR_KEY`.")
    return text.strip()
