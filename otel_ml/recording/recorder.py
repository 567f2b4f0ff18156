"""The process-wide recorder: what instrumentations and `record()` hand inferences to."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from otel_ml.config import Settings
from otel_ml.recording import guard
from otel_ml.recording.guard import failed
from otel_ml.recording.labels import LabelQueue
from otel_ml.recording.logs import logger_provider
from otel_ml.recording.metrics import MetricStore
from otel_ml.recording.queue import InferenceQueue
from otel_ml.recording.readers import extend_readers, meter_provider, restore_readers
from otel_ml.recording.request import request_scope
from otel_ml.recording.told import ToldReader

if TYPE_CHECKING:
    from otel_ml.baseline import Baseline
    from otel_ml.recording.metrics import Attributes
    from otel_ml.recording.worker import Worker
    from otel_ml.sketch.feature import ModelKey

_EXIT_S = 5.0


class Recorder:
    """Queue, worker and series of one process.

    Nothing runs before the first inference, nor while there is no OpenTelemetry SDK to send anything: no thread, no
    state. A forked child starts from nothing, with a producer id of its own.

    Attributes:
        settings: How recording behaves; change them with `configure`.
        told: Reads what `record()` was told.
        enabled: False when nothing is recorded at all: hooks may skip their work.
        wants_span_context: Whether `Inference.span_context` and `.prediction_id` are of use: for opt-in events.
        queue: Holds what waits.
        labels: Likewise, of labels.
        submit: Queues one `Inference` (or a tuple of its first fields). Never raises, never waits. Mutable arrays and
            frames are copied there, so pass them as they are.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.enabled = settings.enabled
        self.wants_span_context = settings.enabled and settings.capture_events
        self.store = MetricStore()
        self.queue = InferenceQueue(settings.queue_size, self._start)
        self.submit = self.queue.put
        self.labels = LabelQueue()
        self.told = ToldReader(settings)
        request_scope.before_first(self.queue.look_closer)
        self._stopped = False
        self._starting = threading.Lock()
        self._worker: Worker | None = None

    def configure(self, settings: Settings) -> None:
        """Go on with other settings; what was recorded under the old ones is emitted first."""
        self.shutdown()
        self.settings = settings
        self.enabled = settings.enabled
        self.wants_span_context = settings.enabled and settings.capture_events
        self.told = ToldReader(settings)
        self.queue.resize(settings.queue_size)
        self._stopped = False

    def is_taking(self) -> bool:
        """Whether what is put now will be emitted; starts the worker if there is a use for it."""
        return not self.queue.is_closed or self._start()

    def flush(self, timeout_s: float = _EXIT_S) -> bool:
        """Summarise what waits and hand all snapshots to the SDK now; False if that took longer.

        Sending them is the SDK's business: `force_flush()` of its providers.
        """
        worker = self._worker
        if worker is None or not worker.is_alive:
            return True
        return worker.flush(timeout_s)

    def shutdown(self, timeout_s: float = _EXIT_S) -> None:
        """Flush and stop; nothing is recorded from here on, until `configure`."""
        self._stopped = True
        self.queue.close()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop(timeout_s)
            atexit.unregister(self._at_exit)

    def detach(self) -> None:
        """Give the SDK's metric readers their own callbacks back."""
        restore_readers()

    def _start(self) -> bool:
        """Start the worker if there is a use for it: asked by the queue while it is closed."""
        if not self.enabled or self._stopped:
            return False
        if logger_provider() is None and meter_provider() is None:
            return False
        with self._starting:
            if self._worker is None:
                from otel_ml.recording.worker import Worker  # noqa: PLC0415 - numpy and the sketches, on first use

                worker = Worker(
                    self.queue, self.labels, self.settings, self.store, self.told, self._baselines, self._register_exit
                )
                extend_readers(self.store, self._active)
                worker.start()
                self._worker = worker
                self._register_exit()
            self.queue.open()
            if self.wants_span_context:
                self.queue.quick = 0
        return True

    def _register_exit(self) -> None:
        # Handlers run last in, first out: registered behind the providers', ours flushes before they shut down.
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)

    def _at_exit(self) -> None:
        try:
            self.shutdown()
        except Exception as error:
            failed("flushing at exit", error)

    def _active(self) -> dict[Attributes, int]:
        return self._worker.active() if self._worker is not None else {}

    def _baselines(self) -> dict[ModelKey, Baseline]:
        """Every readable baseline of the settings; a bad file is said and left out."""
        if not self.settings.baselines:
            return {}
        from otel_ml.baseline import Baseline  # noqa: PLC0415 - only where one is configured

        found: dict[ModelKey, Baseline] = {}
        for path in self.settings.baselines:
            try:
                baseline = Baseline.load(path)
            except Exception as error:
                failed("loading a baseline", error)
            else:
                found[baseline.model] = baseline
        return found

    def _after_fork_in_child(self) -> None:
        """What the parent has seen is the parent's to report; its thread does not exist here."""
        self._worker = None
        self._starting = threading.Lock()
        self.queue.reset()
        self.labels.reset()
        self.store.reset()
        guard.reset()


_recorder: Recorder | None = None


def get_recorder() -> Recorder:
    """The process's recorder; the same object for the process's life and in its forked children."""
    global _recorder  # noqa: PLW0603 - there is one per process, made when first needed
    if _recorder is None:
        recorder = Recorder(Settings.from_environment())
        if _recorder is None:  # two threads may both have come here; the one that looks last keeps the other's
            _recorder = recorder
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=recorder._after_fork_in_child)  # noqa: SLF001 - of this module
    return _recorder
