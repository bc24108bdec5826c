"""A store in this process alone: for tests and for `storage.url: memory:`."""

from gateway.storage.memory.store import InMemoryStore

__all__ = ["InMemoryStore"]
