"""The statements of queries.sql by name. The file is read once."""

from pathlib import Path

from gateway.storage.queries import read

QUERIES = read(Path(__file__).with_name("queries.sql"))
