"""The streaming detectors of river, by the names and settings that a configuration uses."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from otel_ml.errors import ConfigurationError


class StreamingInput(Enum):
    """What a detector wants to be told."""

    ERRORS = "errors"
    """0 for each prediction that was right, 1 for each that was wrong."""
    NUMBERS = "numbers"
    """Any number: errors, the error rate of a window, its mean prediction, a drift score."""


@dataclass(frozen=True, slots=True)
class StreamingMethod:
    """One detector of river, and what it needs to be known of it.

    Attributes:
        name: In configurations, and as the value of attributes.
        inputs: What it is to be told.
        module: Where river has it.
        classes: What river calls it, newest first.
        above_zero: Settings that must be above 0.
        shares: Settings that must be above 0 and below 1.
        memory: Values that decide what it does next; None when these are all since the last alarm.
        defaults: Ours where they are not river's.
    """

    name: str
    inputs: StreamingInput
    module: str
    classes: tuple[str, ...]
    above_zero: frozenset[str] = frozenset()
    shares: frozenset[str] = frozenset()
    memory: str | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)

    def create(self, settings: Mapping[str, object], path: str) -> Any:
        """A new detector of river's.

        Args:
            settings: Arguments of its class, the rest at their defaults.
            path: What to call it in errors.

        Raises:
            ConfigurationError: There is no such setting, it cannot have this value, or river is not installed.
        """
        river_class = self._river_class(path)
        known = {
            name: parameter.default
            for name, parameter in inspect.signature(river_class).parameters.items()
            # The values to start with belong to a restored state.
            if name != "window"
        }
        for name, value in settings.items():
            self._check(name, value, known, path)
        arguments = {**self.defaults, **settings}
        try:
            detector = river_class(**arguments)
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from error
        if self.name == "kswin" and detector.window_size < 2 * detector.stat_size:
            raise ConfigurationError(
                f"{path}::stat_size: {detector.stat_size} is not valid (at most half of window_size, which is"
                f" {detector.window_size})"
            )
        return detector

    def _check(self, name: str, value: object, known: Mapping[str, object], path: str) -> None:
        if name not in known:
            raise ConfigurationError(
                f"{path}::{name}: unknown setting (valid settings: {', '.join(known)}){_did_you_mean(name, known)}"
            )
        default = self.defaults.get(name, known[name])
        valid = ""
        if isinstance(default, bool):
            valid = "" if isinstance(value, bool) else "true or false"
        elif isinstance(default, str):
            valid = "" if isinstance(value, str) else "a text"
        elif isinstance(default, int):
            valid = "" if isinstance(value, int) and _is_number(value) else "a whole number of at least 0"
        elif not _is_number(value):
            valid = "a number of at least 0"
        if not valid and name in self.shares and not 0 < value < 1:  # type: ignore[operator]  # a number, as checked
            valid = "a number above 0 and below 1"
        if not valid and name in self.above_zero and not value > 0:  # type: ignore[operator]  # a number, as checked
            valid = "a number above 0"
        if valid:
            raise ConfigurationError(f"{path}::{name}: {value!r} is not valid ({valid})")

    def _river_class(self, path: str) -> Any:
        try:
            module = import_module(self.module)
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "river":
                raise ConfigurationError(f"{path}: river cannot be imported: {error}") from error
            raise ConfigurationError(f"{path}: needs river: pip install 'otel-ml[concept]'") from error
        for name in self.classes:
            found = getattr(module, name, None)
            if found is not None:
                return found
        raise ConfigurationError(f"{path}: this river has no {self.module}.{self.classes[0]} (river 0.21 to 0.26 have)")


_BINARY: Final = "river.drift.binary"
_METHODS: Final = (
    # Bifet & Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing" (SDM 2007). Its bound is for values
    # between 0 and 1: of values that vary by a thousandth no change is ever found.
    StreamingMethod(
        "adwin",
        StreamingInput.NUMBERS,
        "river.drift",
        ("ADWIN",),
        above_zero=frozenset(("clock", "max_buckets", "min_window_length")),
        shares=frozenset(("delta",)),
    ),
    # Gama, Medas, Castillo & Rodrigues, "Learning with Drift Detection" (SBIA 2004).
    StreamingMethod(
        "ddm",
        StreamingInput.ERRORS,
        _BINARY,
        ("DDM",),
        above_zero=frozenset(("warm_start", "warning_threshold", "drift_threshold")),
    ),
    # Baena-García et al., "Early Drift Detection Method" (IWKDDS 2006).
    StreamingMethod(
        "eddm", StreamingInput.ERRORS, _BINARY, ("EDDM",), frozenset(("warm_start",)), frozenset(("alpha", "beta"))
    ),
    # Frías-Blanco et al., "Online and Non-Parametric Drift Detection Methods Based on Hoeffding's Bounds" (IEEE TKDE
    # 2015): by averages, and by weighted averages. river renamed both after 0.23.
    StreamingMethod(
        "hddm_a",
        StreamingInput.ERRORS,
        _BINARY,
        ("HDDMA", "HDDM_A"),
        shares=frozenset(("drift_confidence", "warning_confidence")),
    ),
    StreamingMethod(
        "hddm_w",
        StreamingInput.ERRORS,
        _BINARY,
        ("HDDMW", "HDDM_W"),
        shares=frozenset(("drift_confidence", "warning_confidence", "lambda_val")),
    ),
    # Raab, Heusinger & Schleif, "Reactive Soft Prototype Computing for Concept Drift Streams" (Neurocomputing, 2020).
    # It draws from its window by chance; by a fixed seed the same stream always gives the same alarms.
    StreamingMethod(
        "kswin",
        StreamingInput.NUMBERS,
        "river.drift",
        ("KSWIN",),
        above_zero=frozenset(("window_size", "stat_size")),
        shares=frozenset(("alpha",)),
        memory="window_size",
        defaults={"seed": 0},
    ),
    # Page, "Continuous Inspection Schemes" (Biometrika, 1954). Its threshold is a sum of values, in their unit.
    StreamingMethod(
        "page_hinkley",
        StreamingInput.NUMBERS,
        "river.drift",
        ("PageHinkley",),
        above_zero=frozenset(("min_instances", "threshold", "alpha")),
    ),
)
STREAMING_METHODS: Final[Mapping[str, StreamingMethod]] = MappingProxyType({method.name: method for method in _METHODS})


def streaming_method(name: str, path: str = "") -> StreamingMethod:
    """The method of that name; `path` says in errors where the name was found.

    Raises:
        ConfigurationError: There is none.
    """
    if name not in STREAMING_METHODS:
        where = f"{path}::{name}" if path else name
        raise ConfigurationError(
            f"{where}: unknown streaming detector (valid detectors: {', '.join(STREAMING_METHODS)})"
            f"{_did_you_mean(name, STREAMING_METHODS)}"
        )
    return STREAMING_METHODS[name]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _did_you_mean(name: str, valid: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, list(valid), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
