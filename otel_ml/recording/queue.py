"""The bounded queue between requests and the recording worker: an append on one side, drains on the other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from otel_ml.recording.capture import capture
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import Inference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_ml.recording.inference import ModelInfo
    from otel_ml.sketch.feature import ModelKey

QUEUE_FULL = "queue_full"
TOO_LARGE = "too_large"

MAX_WEIGHT = 128 * 1024 * 1024
"""Bytes of arrays and frames that may wait, roughly."""
MAX_MODELS = 200
"""Models whose drops are told apart."""

_ndarray = np.ndarray
_WHOLE = len(Inference._fields)
_SMALL = 1024 * 1024
"""Bytes of an array that is copied without further thought."""


class Tally:
    """Rows of one model that were let go on the request thread, since the process began; only ever grows.

    A bare `+=` on an attribute: no other thread can come between under the GIL, for CPython only switches at calls
    and jumps. Without the GIL a count may be lost, which is better than a lock on the request path.
    """

    __slots__ = ("queue_full", "too_large")

    def __init__(self) -> None:
        self.queue_full = 0
        self.too_large = 0


class InferenceQueue:
    """What waits to be summarised. No lock: `deque` appends and pops are atomic.

    Args:
        start: Called when something is put while the queue is closed; opens it if it can and says whether it did.
            So nothing has to be asked on the usual path: closed, off and not yet started all look like "full".
    """

    __slots__ = ("_append", "_limit", "_looks_closer", "_size", "_start", "_tallies", "_weight", "quick", "waiting")

    def __init__(self, size: int, start: Callable[[], bool]) -> None:
        self.waiting: deque[Any] = deque()
        self._append = self.waiting.append
        self._size = size
        self._limit = 0
        self.quick = 0
        """How many may wait for `record()` to append a row without looking any closer; see there."""
        self._looks_closer = False
        self._weight = 0
        self._start = start
        self._tallies: dict[ModelKey, Tally] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def put(self, inference: Any) -> None:
        """Take one `Inference`, or a tuple of its first fields; never waits, never raises.

        A row as a dict goes straight in; arrays and frames are copied and weighed first, see `capture`.
        """
        # Two tests and an append for a row; for the usual call of a model, an array in and an array out, a few more and
        # two copies. This is the request's cost, so everything else takes its detours elsewhere.
        kind = type(inference[2])
        if kind is dict and len(self.waiting) < self._limit:
            self._append(inference)
            return
        if kind is _ndarray and len(self.waiting) < self._limit and len(inference) == _WHOLE:
            (
                info,
                operation,
                features,
                predictions,
                scores,
                duration_s,
                error_type,
                own_id,
                span,
                timestamp,
                segments,
                entity_id,
            ) = inference
            size = features.nbytes
            if (
                size < _SMALL
                and scores is None
                and type(predictions) is _ndarray
                and predictions.nbytes < _SMALL
                and self._weight < MAX_WEIGHT
            ):
                try:
                    features, predictions = features.copy(), predictions.copy()
                except Exception as error:
                    failed("copying", error)
                    return
                self._weight += size
                self._append(
                    (
                        info,
                        operation,
                        features,
                        predictions,
                        None,
                        duration_s,
                        error_type,
                        own_id,
                        span,
                        timestamp,
                        segments,
                        entity_id,
                        size,
                    )
                )
                return
        self._put_with_care(inference)

    def open(self) -> None:
        """Let inferences in."""
        self._limit = self._size
        self.quick = 0 if self._looks_closer else self._size

    def close(self) -> None:
        """Let nothing in any more; what waits stays."""
        self._limit = self.quick = 0

    def look_closer(self) -> None:
        """From now on have `record()` look for the request it is called in: there may be one."""
        self._looks_closer = True
        self.quick = 0

    def resize(self, size: int) -> None:
        """Let so many wait, once it is open again."""
        self._size = size

    @property
    def is_closed(self) -> bool:
        """True before `open` and after `close`."""
        return self._limit == 0

    def reset(self) -> None:
        """As if nothing had ever been put: for a forked child, which inherits what the parent will send."""
        self.waiting.clear()
        self._limit = self.quick = 0
        self._weight = 0
        self._tallies = {}

    def take(self, count: int) -> list[Any]:
        """Up to `count` of the oldest, as they were put; those that were weighed have their weight behind."""
        pop = self.waiting.popleft
        taken = []
        try:
            for _ in range(count):
                taken.append(pop())  # noqa: PERF401 - what was popped before the queue ran dry must not be lost
        except IndexError:
            # Empty: the moment to forget what unlocked additions may have got wrong.
            self._weight = 0
        return taken

    def release(self, taken: Sequence[Any]) -> None:
        """Say that what was taken is no longer held."""
        weight = sum([inference[-1] for inference in taken if len(inference) > _WHOLE])
        if weight:
            self._weight = max(0, self._weight - weight)

    def tallies(self) -> list[tuple[ModelKey, Tally]]:
        """What was let go, by model."""
        return list(self._tallies.items())

    def _put_with_care(self, inference: Any) -> None:
        try:
            if self._limit == 0 and not self._start():
                return
            model: ModelInfo = inference[0]
            if len(self.waiting) >= self._limit:
                self._tally(model).queue_full += _rows(inference)
                return
            if type(inference[2]) is dict:
                self._append(inference)
            elif self._weight >= MAX_WEIGHT:
                self._tally(model).queue_full += _rows(inference)
            else:
                self._append(self._captured(inference))
        except Exception as error:
            failed("queueing", error)

    def _captured(self, inference: Any) -> Any:
        features = capture(inference[2])
        predictions = capture(inference[3])
        scores = capture(inference[4]) if len(inference) > 4 else None
        weight = features.weight + predictions.weight
        if scores is not None:
            weight += scores.weight
        if features.left_out:
            self._tally(inference[0]).too_large += features.left_out
        self._weight += weight
        whole = Inference(*inference)
        return (
            *whole[:2],
            features.value,
            predictions.value,
            None if scores is None else scores.value,
            *whole[5:],
            weight,
        )

    def _tally(self, model: ModelInfo) -> Tally:
        tally = self._tallies.get(model.key)
        if tally is None:
            key = model.key if len(self._tallies) < MAX_MODELS else model.key._replace(name="_OTHER", version="")
            tally = self._tallies.setdefault(key, Tally())
        return tally


def _rows(inference: Any) -> int:
    features = inference[2] if inference[2] is not None else inference[3]
    shape = getattr(features, "shape", None)
    if shape:
        return int(shape[0])
    return len(features) if isinstance(features, (list, tuple)) else 1
