"""Getting everything out before the process ends.

The SDK sends what it holds in an atexit handler, as we do. But a process ended by a signal runs none, and that is how
servers end: uvicorn finishes its requests on SIGTERM, then raises the same signal again for the system to act upon.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from opentelemetry import _logs, metrics, trace

from otel_ml.recording.guard import failed
from otel_ml.recording.recorder import get_recorder


def deliver(timeout_s: float = 5.0) -> bool:
    """Summarise what waits, emit it, and have the SDK send all it holds; False if that took longer.

    A collector that does not answer must not keep a server from ending: after `timeout_s` the rest is left to itself.
    """
    deadline = time.monotonic() + timeout_s
    if not get_recorder().flush(timeout_s):
        return False
    providers = (_logs.get_logger_provider(), metrics.get_meter_provider(), trace.get_tracer_provider())
    sending = [
        threading.Thread(target=_force_flush, args=(provider,), name="otel-ml-delivery", daemon=True)
        for provider in providers
        if hasattr(provider, "force_flush")
    ]
    for thread in sending:
        thread.start()
    for thread in sending:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in sending)


def _force_flush(provider: Any) -> None:
    try:
        provider.force_flush()
    except Exception as error:
        failed("sending before the end", error)
