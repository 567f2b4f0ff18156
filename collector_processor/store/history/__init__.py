"""Windows, kept for people to look at: lines, figures of columns, shapes, details and alerts, each read by itself."""

from collector_processor.store.history.reading import SqliteArchive
from collector_processor.store.history.schema import SCHEMA
from collector_processor.store.history.writing import Writer, prune

__all__ = ["SCHEMA", "SqliteArchive", "Writer", "prune"]
