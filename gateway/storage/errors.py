"""What the storage adapters raise beside errors.StorageUnavailable. Neither is for clients to see.

Exception
├── ConstraintViolated       a bug of the caller
└── errors.StorageUnavailable
    └── SchemaTooNew         for the operator to solve
"""

from gateway.errors import StorageUnavailable


class ConstraintViolated(Exception):
    """A write contradicts what is stored: an id used twice, an owner who does not exist. Nothing of it was written.

    It is no outage, so it must not be answered with "try again".
    """


class SchemaTooNew(StorageUnavailable):
    """The database was brought up to date by a later gateway. This one does not start on it, and left it untouched."""
