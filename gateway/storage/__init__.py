"""Where users, keys, sessions, messages and the ledger are kept: the adapters of ports.Store, and their Python API.

    from gateway.storage import open_store

Neither a server nor litellm is loaded by that, and the driver of a database only once one is opened: see opening.py.
"""

from gateway.storage.client import SessionStore, open_store

__all__ = ["SessionStore", "open_store"]
