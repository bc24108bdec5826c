"""The schema as a sequence of Alembic revisions, applied by storage/schema.py when a store starts.

A revision that was released is never changed, only followed by another: versions/0002_what_it_does.py with
`revision = "0002"`. The number in the file's name is the revision's id: by it alone schema.py sees, without importing
Alembic, whether there is anything to do.
"""
