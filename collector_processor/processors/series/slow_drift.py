"""Changes that are too small, or come too slowly, to show in a window: found by adding up many windows."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from collector_processor.processors.evaluation import DRIFT, SLOW_DRIFT, Check, WindowEvaluation
from collector_processor.processors.references.settings import HOUR, SAME_HOUR
from collector_processor.processors.series.settings import SlowDriftSettings
from collector_processor.processors.series.watched_column import PooledCenter, SlowVerdict, WatchedColumn
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey

_COLUMNS: Final = 20_000
"""Watched at once, 500 bytes each; of further ones the models that were silent longest are forgotten."""


_LEAST: Final = 50
"""Values of an hour below which their mean is not taken for normally distributed."""


@dataclass(slots=True)
class _Model:
    """The columns of one model.

    Attributes:
        hour: Since 1970; the one that is not over yet.
        pending: What was seen of it; nothing where a window is an hour or longer.
        encoded: `columns` as they are kept; None when they changed since.
    """

    columns: dict[FeatureKey, WatchedColumn] = field(default_factory=dict)
    hour: int = 0
    pending: dict[FeatureKey, PooledCenter] = field(default_factory=dict)
    encoded: bytes | None = None


class SlowDrift:
    """Watches every column that has a mean, of whole models.

    Windows shorter than an hour are pooled, so that the length of a window changes neither what is found nor how often
    that is chance.

    Args:
        settings: What is looked for; nothing where the run length is 0.
        alpha: q-value below which a window counts as drifted.
        columns: How many are watched at most.
    """

    def __init__(self, settings: SlowDriftSettings, alpha: float, columns: int = _COLUMNS) -> None:
        self._settings = settings
        self._alpha = alpha
        self._limit = columns
        self._models: OrderedDict[ModelKey, _Model] = OrderedDict()

    def __len__(self) -> int:
        """How many columns are watched."""
        return sum(len(model.columns) for model in self._models.values())

    def observe(self, window: WindowEvaluation) -> dict[FeatureKey, Check]:
        """Take a window in, and return what the hours add up to, if one ends with it."""
        if not self._settings.run_length or window.segment is not None:
            return {}
        centers = dict(self._centers(window))
        if not centers:
            return {}
        model = self._models.setdefault(window.model, _Model())
        self._models.move_to_end(window.model)
        hour, end = window.start_unix_nano // HOUR, window.end_unix_nano // HOUR
        if model.pending and model.hour != hour:
            # Its last window never came.
            self._conclude(model)
        model.hour = hour
        for key, center in centers.items():
            before = model.pending.get(key)
            model.pending[key] = center if before is None else before.merged(center)
        return self._conclude(model) if end != hour else {}

    def encode(self) -> dict[str, bytes]:
        """Everything but the hour that is not over yet, to be kept: least recently seen first."""
        found = {}
        for place, (key, model) in enumerate(self._models.items()):
            if model.encoded is None:
                model.encoded = _encode(model.columns)
            found[json.dumps([place, *key])] = model.encoded
        return found

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """Remember what `encode` gave.

        Raises:
            ValueError: It is something else.
        """
        if not self._settings.run_length:
            return
        entries = sorted((json.loads(key), value) for key, value in kept.items())
        for (_, name, version), value in entries:
            model = _Model(dict(_decode(value, self._settings)))
            self._models[ModelKey(name, version)] = model
        self._make_room()

    def _centers(self, window: WindowEvaluation) -> Iterator[tuple[FeatureKey, PooledCenter]]:
        for feature in window.features:
            if feature.center is not None:
                drifted = any(check.name == DRIFT and check.breaches(self._alpha) for check in feature.checks)
                yield feature.key, PooledCenter.of(feature.center, has_drifted=drifted)

    def _conclude(self, model: _Model) -> dict[FeatureKey, Check]:
        checks = {}
        for key, center in model.pending.items():
            if center.n < _LEAST:
                continue
            column = model.columns.get(key)
            if column is None:
                column = model.columns[key] = WatchedColumn(self._settings)
            verdict = column.observe(model.hour, center)
            if verdict is not None:
                checks[key] = _check(verdict, center.n)
        model.pending.clear()
        model.encoded = None
        self._make_room()
        return checks

    def _make_room(self) -> None:
        while len(self) > self._limit and len(self._models) > 1:
            self._models.popitem(last=False)
        for model in self._models.values():
            excess = len(model.columns) - self._limit
            if excess > 0:
                silent = sorted(model.columns, key=lambda key: model.columns[key].latest)
                for key in silent[:excess]:
                    del model.columns[key]


def _check(verdict: SlowVerdict, count: int) -> Check:
    side = "above" if verdict.offset > 0 else "below"
    hours = "1 hour" if verdict.hours == 1 else f"{verdict.hours} hours"
    note = f"{abs(verdict.offset):.2g} standard deviations {side} the same hours of the days before, for {hours}"
    return Check(
        SLOW_DRIFT,
        "cusum",
        verdict.statistic,
        verdict.threshold,
        verdict.is_alarming,
        None,
        count,
        reference=SAME_HOUR,
        note=note,
    )


def _encode(columns: Mapping[FeatureKey, WatchedColumn]) -> bytes:
    names = [(key.role.value, key.name) for key in columns]
    numbers = np.array([column.numbers() for column in columns.values()], dtype="<f8")
    return json.dumps(names).encode() + b"\n" + numbers.tobytes()


def _decode(encoded: bytes, settings: SlowDriftSettings) -> Iterable[tuple[FeatureKey, WatchedColumn]]:
    header, _, numbers = encoded.partition(b"\n")
    names = json.loads(header)
    if not names:
        return
    rows = np.frombuffer(numbers, dtype="<f8").reshape(len(names), -1)
    for (role, name), row in zip(names, rows.tolist(), strict=True):
        column = WatchedColumn(settings)
        column.restore(row)
        yield FeatureKey(FeatureRole(role), name), column
