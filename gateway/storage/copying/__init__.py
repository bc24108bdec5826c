"""Copying one database into another, in any direction between SQLite and PostgreSQL.

Whatever happens, a row of the target is never changed: it is the source's already, or it is reported. Every batch is
a transaction that writes what is not there yet, so that a copy may be killed anywhere and run again, and a second run
writes nothing. What counts as copied is what was read back from the target and found equal.
"""

from gateway.storage.copying.run import Copied, CopiedTable, Watch, copy_database

__all__ = ["Copied", "CopiedTable", "Watch", "copy_database"]
