"""Many columns, and many windows: p-values corrected for how often was asked."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from collector_processor.processors.evaluation.findings import FeatureEvaluation
from otel_ml.drift.sequential import OnlineFdr
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Segment

_LIMIT: Final = 20_000
"""Families remembered at once; the one that was silent longest is forgotten, and begins anew."""


class _Family(NamedTuple):
    """Questions that are counted together: the same check of all columns of a model, window after window."""

    model: ModelKey
    segment: Segment | None
    check: str


class Correction:
    """What every family of checks has used up of its false discovery rate.

    Args:
        level: The false discovery rate of each family …
        horizon: … over so many windows.
    """

    def __init__(self, level: float, horizon: int) -> None:
        self._level = level
        self._horizon = horizon
        self._families: OrderedDict[_Family, OnlineFdr] = OrderedDict()

    def corrected(
        self,
        model: ModelKey,
        segment: Segment | None,
        features: Sequence[FeatureEvaluation],
        *,
        is_revision: bool = False,
    ) -> list[FeatureEvaluation]:
        """The same, with q-values and the level below which they count in this window.

        Args:
            is_revision: The window was asked before; it has the level of the next one, and uses nothing up.
        """
        checks = [list(feature.checks) for feature in features]
        families: dict[str, list[tuple[int, int]]] = {}
        for position, of_feature in enumerate(checks):
            for place, check in enumerate(of_feature):
                families.setdefault(check.name, []).append((position, place))
        for name, family in families.items():
            control = self._control(_Family(model, segment, name))
            if is_revision:
                control = self._copied(control)
            verdict = control.observe([checks[position][place].p_value for position, place in family])
            tested = sum(q_value is not None for q_value in verdict.q_values)
            for (position, place), q_value in zip(family, verdict.q_values, strict=True):
                check = checks[position][place]
                checks[position][place] = replace(check, q_value=q_value, family=tested, level=verdict.level)
        return [replace(feature, checks=of_feature) for feature, of_feature in zip(features, checks, strict=True)]

    def encode(self) -> dict[str, bytes]:
        """Everything, to be kept: least recently asked first."""
        return {
            json.dumps([position, *family]): json.dumps(control.encode()).encode()
            for position, (family, control) in enumerate(self._families.items())
        }

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """Remember what `encode` gave."""
        entries = sorted((json.loads(key), value) for key, value in kept.items())
        for (_, model, segment, check), value in entries:
            control = OnlineFdr(self._level, self._horizon)
            control.restore(json.loads(value))
            self._families[_Family(ModelKey(*model), Segment(*segment) if segment else None, check)] = control

    def _copied(self, control: OnlineFdr) -> OnlineFdr:
        copy = OnlineFdr(self._level, self._horizon)
        copy.restore(control.encode())
        return copy

    def _control(self, family: _Family) -> OnlineFdr:
        control = self._families.get(family)
        if control is None:
            control = self._families[family] = OnlineFdr(self._level, self._horizon)
            if len(self._families) > _LIMIT:
                self._families.popitem(last=False)
        self._families.move_to_end(family)
        return control
