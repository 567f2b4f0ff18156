"""A streaming detector that says each change once, ignores what is no value, and survives a restart."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_ml.drift.streaming.methods import StreamingInput, StreamingMethod, streaming_method
from otel_ml.errors import ConfigurationError

MEMORY: Final = 2_000
"""Values since the last alarm that are kept for a restart."""


@dataclass(frozen=True, slots=True)
class StreamingState:
    """What has to be kept of a detector, in any form that holds numbers; nothing in it is code.

    Attributes:
        values: Since the last alarm, at most the last so many, oldest first.
        quiet: Further values during which an alarm would still be of the last change.
    """

    values: tuple[float, ...]
    quiet: int = 0


class StreamingDetector:
    """One of river's detectors, watching one series.

    After an alarm it starts anew and knows only what comes after. A change that goes on, or an alarm that came before
    the new level was reached, would give another one soon (river issue 574): alarms within `quiet` values of the last
    one are taken for the same change and not said.

    Args:
        name: "adwin", "ddm", "eddm", "hddm_a", "hddm_w", "kswin" or "page_hinkley".
        settings: Arguments of river's class of that name, the rest at their defaults.
        scale: The size of a change that matters, in the unit of the values, which are divided by it. ADWIN finds
            changes of a hundredth of its unit late, and smaller ones never; Page-Hinkley's threshold is in this unit.
        quiet: Values after an alarm without another one.
        memory: Values since the last alarm that `state` keeps. A detector that is restored from fewer than there were
            knows less, but nothing wrong.
        path: Where the configuration stands, for errors: "processors::concept::detectors".

    Attributes:
        inputs: What `update` wants: errors, 0 or 1, one a prediction, or any numbers.
        warning: Whether the last value made a change likely, but not yet an alarm. Only detectors of errors warn.
        alarms: How many there were.
        ignored: Values that were missing or infinite.

    Raises:
        ConfigurationError: There is no such detector or setting, a value is not valid, or river is not installed.
    """

    __slots__ = (
        "_arguments",
        "_detector",
        "_kept",
        "_method",
        "_path",
        "_quiet",
        "_quiet_left",
        "_scale",
        "alarms",
        "ignored",
        "warning",
    )

    def __init__(
        self,
        name: str,
        settings: Mapping[str, object] | None = None,
        *,
        scale: float = 1.0,
        quiet: int = 0,
        memory: int = MEMORY,
        path: str = "",
    ) -> None:
        self._method: StreamingMethod = streaming_method(name, path)
        self._path = f"{path}::{name}" if path else name
        self._arguments = dict(settings or {})
        self._detector = self._method.create(self._arguments, self._path)
        for setting, value in (("quiet", quiet), ("memory", memory)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ConfigurationError(
                    f"{self._path}::{setting}: {value!r} is not valid (a whole number of at least 0)"
                )
        if _finite(scale) is None or isinstance(scale, bool) or not scale > 0:
            raise ConfigurationError(f"{self._path}::scale: {scale!r} is not valid (a number above 0)")
        if scale != 1 and self.inputs is StreamingInput.ERRORS:
            raise ConfigurationError(f"{self._path}::scale: {scale!r} is not valid (errors are 0 or 1: leave it out)")
        self._scale = scale
        # Older values than these have left its window, whatever they were.
        enough = memory if self._method.memory is None else min(memory, getattr(self._detector, self._method.memory))
        self._kept: deque[float] = deque(maxlen=enough)
        self._quiet = quiet
        self._quiet_left = 0
        self.warning = False
        self.alarms = 0
        self.ignored = 0

    @property
    def name(self) -> str:
        """As in a configuration."""
        return self._method.name

    @property
    def inputs(self) -> StreamingInput:
        """What `update` wants."""
        return self._method.inputs

    def update(self, value: float | None) -> bool:
        """Whether the series has changed, as this value shows; true once for each change.

        Args:
            value: None, NaN and infinite values are counted and otherwise ignored.

        Raises:
            ConfigurationError: It is neither 0 nor 1, and this is a detector of errors.
        """
        number = self._number(value)
        if number is None:
            self.ignored += 1
            return False
        if self.inputs is StreamingInput.ERRORS and number not in (0, 1):
            raise ConfigurationError(
                f"{self._path}: {value!r} is no error (0 or 1 for each prediction; for rates and other numbers take"
                " adwin, kswin or page_hinkley)"
            )
        drifted = self._feed(number)
        is_quiet, self._quiet_left = self._quiet_left > 0, max(0, self._quiet_left - 1)
        if not drifted or is_quiet:
            return False
        self._quiet_left = self._quiet
        self.alarms += 1
        return True

    def state(self) -> StreamingState:
        """What to keep over a restart."""
        return StreamingState(tuple(self._kept), self._quiet_left)

    def restore(self, state: StreamingState) -> None:
        """Start anew and see the values of `state` again, without alarms.

        What is not a value that this detector takes is left out, so that no state can do harm, whoever wrote it.
        """
        self._start_anew()
        self._quiet_left = min(max(0, state.quiet), self._quiet) if isinstance(state.quiet, int) else 0
        for value in deque(state.values, maxlen=self._kept.maxlen):
            number = self._number(value)
            if number is not None and (self.inputs is StreamingInput.NUMBERS or number in (0, 1)):
                self._feed(number)

    def _number(self, value: object) -> float | None:
        """The value as a finite double that can be scaled, None where it is none."""
        number = _finite(value)
        return None if number is None or _finite(number / self._scale) is None else number

    def _feed(self, value: float) -> bool:
        self._detector.update(int(value) if self.inputs is StreamingInput.ERRORS else value / self._scale)
        drifted = bool(self._detector.drift_detected)
        self.warning = not drifted and bool(getattr(self._detector, "warning_detected", False))
        if drifted:
            self._start_anew()
        else:
            self._kept.append(value)
        return drifted

    def _start_anew(self) -> None:
        # river would forget at the next value; what is kept for a restart must be forgotten at the same one.
        self._detector = self._method.create(self._arguments, self._path)
        self._kept.clear()
        self.warning = False


def _finite(value: object) -> float | None:
    """The value as a finite double, None where it is none."""
    try:
        number = float(value) if not isinstance(value, str) else math.nan  # type: ignore[arg-type]  # whatever it is
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
