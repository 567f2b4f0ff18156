"""The write-ahead log: requests in the order in which they were accepted, on disk or in memory."""

from collector_processor.store.log.file_log import FileLog
from collector_processor.store.log.memory_log import MemoryLog

__all__ = ["FileLog", "MemoryLog"]
