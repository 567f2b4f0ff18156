"""What a process of ours asks of its interpreter and its kernel; nothing of it changes what is done, only when."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

# A thread that computes (evaluating a window) hands over to the event loop after so long; by default it is 5 ms, and
# whatever is acknowledged meanwhile waits as long, several times over.
_SWITCH_S: Final = 0.001

# Of the allocator of the GNU C library. By default it gives back to the kernel what is free at the end of its memory
# above 128 KiB, and gets it back page by page: a tenth of the cost of a snapshot.
_TRIM_THRESHOLD: Final = (-1, 32 << 20)
# What is larger (a large request, not a matrix) is given back at once nevertheless.
_MMAP_THRESHOLD: Final = (-3, 1 << 20)


def prepare() -> None:
    """Make threads take turns instead of interrupting each other; for those that are started from now on.

    gRPC wakes the event loop from a thread of its own, about six times a request. Where they share a core, each of them
    would be interrupted for it: what the core's caches held is gone, and whoever is interrupted while it holds the
    interpreter's lock keeps all others waiting. In Linux's batch class those who are woken wait until the core is free,
    and find more to do at once: a fifth less CPU for a small request, and the slowest answers four times as soon.
    """
    sys.setswitchinterval(_SWITCH_S)
    _keep_freed_memory()
    if sys.platform == "linux":
        # What an administrator chose, real-time or idle, stays.
        with suppress(OSError):
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


@contextmanager
def loading() -> Iterator[None]:
    """Load modules without garbage collections: hardly any of it is garbage, and looking costs a tenth of starting."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """Take what there is now for permanent: a full garbage collection would visit all of it, 50 ms at a time."""
    gc.collect()
    gc.freeze()


def _keep_freed_memory() -> None:
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for setting in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(*setting)
