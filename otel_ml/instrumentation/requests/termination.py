"""Sending what a worker process holds when it is told to end: a signal runs no exit handlers."""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.recording.guard import failed

_TIMEOUT_S: Final = 3.0
"""Whoever terminates a worker kills it a little later: LitServe after 5 s."""


class _Process:
    """What this process has been prepared for; a spawned or forked worker asks for itself."""

    prepared_pid = 0


def deliver_on_termination() -> None:
    """Have this worker deliver on SIGTERM and then end of it, as it would have; for workers without a handler.

    May be asked with every request: only the first one in a process's main thread does something. Whoever has a handler
    already keeps it.
    """
    pid = os.getpid()
    if _Process.prepared_pid == pid or threading.current_thread() is not threading.main_thread():
        return
    _Process.prepared_pid = pid
    try:
        if the_recorder().enabled and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminate)
    except Exception as error:
        failed("preparing for SIGTERM", error)


def _terminate(number: int, _: object) -> None:
    # In a thread: the one that is interrupted here may hold any lock, and must not wait for itself.
    delivery = threading.Thread(target=_deliver, name="otel-ml-delivery", daemon=True)
    delivery.start()
    delivery.join(_TIMEOUT_S)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _deliver() -> None:
    try:
        from otel_ml.recording.delivery import deliver  # noqa: PLC0415 - the recorder, see late_recorder

        deliver(_TIMEOUT_S)
    except Exception as error:
        failed("delivering on SIGTERM", error)
