"""When a log takes nothing, and what it says then."""

from __future__ import annotations

import errno
from typing import Final

from collector_processor.errors import RefusedError

LOG_FULL: Final = "log_full"
BUSY: Final = "busy"
SHUTTING_DOWN: Final = "shutting_down"
DISK_FULL: Final = "disk_full"
DISK_ERROR: Final = "disk_error"
_TEXTS: Final = {
    LOG_FULL: "log: no room (store::log::max_size_mib); try again",
    BUSY: "log: too much waits for the disk (store::log::max_waiting_mib); try again",
    SHUTTING_DOWN: "log: shutting down; try again",
    DISK_FULL: "log: the disk is full; try again",
    DISK_ERROR: "log: the disk failed; try again",
}
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def refused(reason: str) -> RefusedError:
    """The error for one of the reasons."""
    return RefusedError(_TEXTS[reason], reason)


def disk_reason(error: OSError) -> str:
    """What kind of reason an error of the system is."""
    return DISK_FULL if error.errno in _NO_ROOM else DISK_ERROR


def received_share(budget_bytes: int) -> int:
    """What received entries may take of a budget; the rest is for what we have to say ourselves when that is full."""
    return budget_bytes * 95 // 100
