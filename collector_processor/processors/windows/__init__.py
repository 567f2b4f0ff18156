"""Tumbling windows of event time, one series for each model and version, bounded in every direction.

A snapshot belongs to the window in which its interval starts. A window closes when the watermark passes its end: the
latest interval end seen for that model, plus the time that has passed since it was seen, less the lateness. So a
stream that falls silent still closes its windows, a replay of last year's traffic runs at its own speed, and a
producer whose clock runs ahead moves nobody else's watermark by more than is allowed.

A window that has closed is given out to be evaluated, and stays for the allowed lateness, in the same time: what comes
meanwhile is merged, and the window is given out again, as a revision. After that a snapshot is late for good.

What lies beyond a limit goes into one overflow series, named by `semconv.OTHER_LABEL`: see `overflow`.
"""

from collector_processor.processors.windows.changes import Changes
from collector_processor.processors.windows.settings import LimitSettings, WindowSettings
from collector_processor.processors.windows.store import WindowStore
from collector_processor.processors.windows.window import Outcome, Slot, Stream, Window

__all__ = ["Changes", "LimitSettings", "Outcome", "Slot", "Stream", "Window", "WindowSettings", "WindowStore"]
