"""Where users, keys, sessions, messages and the ledger are kept: the adapters of ports.Store.

Nothing is imported here, so that a gateway with one kind of database never loads the driver of another.
"""
