"""Labels on their way out: what turned out to be true, told when it is known, by the id of the prediction."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml.recording.guard import warn_once
from otel_ml.recording.logs import emit_event, logger_provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_ml.recording.event_pace import EventPace

MAX_WAITING: Final = 100_000
"""Labels come in bulk, a day's at once; they leave at the pace of events. At 200 B each, 20 MB."""
_FLUSH_EVERY: Final = 1_000
_TEXT_LENGTH: Final = 256


class Label(NamedTuple):
    """The outcome of one row."""

    prediction_id: str
    value: Any
    model: str | None
    version: str | None
    timestamp_unix_nano: int


class LabelQueue:
    """Labels that wait to be emitted. No lock: `deque` appends and pops are atomic.

    Attributes:
        left_out: Labels that found no room, since this was last set to 0.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._waiting: deque[Label] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, labels: Iterable[Label]) -> None:
        """Take labels in, as long as there is room."""
        for label in labels:
            if len(self._waiting) >= MAX_WAITING:
                self.left_out += 1
                warn_once("labels", f"more than {MAX_WAITING} labels are waiting; those beyond are let go and counted")
            else:
                self._waiting.append(label)

    def reset(self) -> None:
        """As if nothing had ever been put: for a forked child, which inherits what the parent will send."""
        self._waiting.clear()
        self.left_out = 0

    def steps(self, pace: EventPace) -> Iterator[None]:
        """Emit what the pace allows, one a step."""
        while self._waiting and pace.may_emit():
            _emit(self._waiting.popleft())
            pace.emitted()
            yield

    def emit_all(self, timeout_s: float) -> None:
        """Emit everything now, as fast as the SDK sends it on; what the time does not suffice for is counted."""
        deadline = time.monotonic() + timeout_s
        since_flush = 0
        while self._waiting:
            _emit(self._waiting.popleft())
            since_flush += 1
            if since_flush >= _FLUSH_EVERY and self._waiting:
                since_flush = 0
                left_s = deadline - time.monotonic()
                flush = getattr(logger_provider(), "force_flush", None)
                if left_s <= 0.0 or (flush is not None and not flush(int(left_s * 1_000))):
                    self.left_out += len(self._waiting)
                    self._waiting.clear()


def pairs(prediction_id: Any, label: Any) -> list[tuple[str, Any]]:
    """One id and one label each.

    Raises:
        ValueError: Many ids and not as many labels.
    """
    if isinstance(prediction_id, str) or not hasattr(prediction_id, "__len__"):
        return [(str(prediction_id), label)]
    ids = [str(item) for item in prediction_id]
    labels = label.tolist() if hasattr(label, "tolist") else label
    if isinstance(labels, str) or not hasattr(labels, "__len__") or len(labels) != len(ids):
        raise ValueError(f"{len(ids)} prediction ids need as many labels, not {type(label).__qualname__}")
    return list(zip(ids, labels, strict=True))


def _emit(label: Label) -> None:
    attributes: dict[str, Any] = {semconv.PREDICTION_ID: label.prediction_id, semconv.LABEL_VALUE: _plain(label.value)}
    if label.model:
        attributes[semconv.MODEL_NAME] = label.model
    if label.version:
        attributes[semconv.MODEL_VERSION] = label.version
    emit_event(
        semconv.EVENT_LABEL,
        attributes,
        body="the outcome of a prediction",
        timestamp_unix_nano=label.timestamp_unix_nano or time.time_ns(),
    )


def _plain(value: Any) -> bool | int | float | str:
    """A value every exporter can encode."""
    if hasattr(type(value), "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return str(value)[:_TEXT_LENGTH]
