"""Whose verdict counts about each column: the detector that is configured, or the one that was chosen, and is kept.

What is chosen depends on the size of windows, which changes with the hour of the day. Scores of two methods cannot be
compared, so that an alert must not see them take turns: a choice rests on the size that windows of the column
usually have, is looked at again once in a while, and gives way only to what would be chosen with half as many values
more or a third fewer as well.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from collector_processor.component import Store
from collector_processor.processors.evaluation.measurement import Measurement
from collector_processor.processors.evaluation.settings import AUTO, DecisionSettings
from otel_ml.baseline import Baseline
from otel_ml.drift.choice import PSI_THRESHOLD, Choice, Evidence, choose, equivalent_threshold
from otel_ml.drift.comparison import distributions
from otel_ml.drift.detector import DriftDetector
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.summary import FeatureSummary

_SECTION: Final = "choices"
_EVERY: Final = 24
"""Windows after which a choice is looked at again."""
_USUAL_OVER: Final = 1_000
"""Windows that the usual size is about; of an hour or of a minute, they are more than half a day."""
_MARGIN: Final = 1.5
_OF_CONTENTS: Final = ("mahalanobis", "content")
"""Methods that compare vectors and texts, and are always there."""
_MODELS: Final = 10_000
"""Models remembered at once; the one that was silent longest is forgotten, and chosen for anew."""


@dataclass(frozen=True, slots=True)
class Decider:
    """Whose verdict counts about a column.

    Attributes:
        method: The detector.
        reason: Why it was chosen; None where it is the configured one.
        psi: The threshold of PSI that what counts as big was tuned with.
        is_tuned: Whether the detector has a threshold of its own by configuration.
    """

    method: str
    reason: str | None = None
    psi: float = PSI_THRESHOLD
    is_tuned: bool = False

    def threshold(self, own: float, share: float = 1.0) -> float:
        """The score above which a difference counts, where that share of the whole is enough.

        Of a method that was chosen, as big as that share of PSI's threshold: what counts does not change with the
        choice.

        Args:
            own: The detector's threshold.
        """
        if self.method in BUILTIN_MULTIVARIATE:
            # As far as means and covariances move, PSI grows by the square of it.
            return math.sqrt(share) * own
        whole = equivalent_threshold(self.method, self.psi)
        if self.reason is None or whole is None or self.method == "psi":
            return share * own
        part = equivalent_threshold(self.method, share * self.psi)
        assert part is not None
        return part / whole * (own if self.is_tuned else whole)


@dataclass(slots=True)
class _Kept:
    """What was chosen for a column.

    Attributes:
        known_by: The baseline it was chosen with, by its id.
        windows: How many were seen.
        usual: The logarithm of the values that windows usually have.
    """

    decider: Decider
    kind: FeatureKind
    known_by: str
    windows: int = 0
    usual: float = 0.0

    def encoded(self) -> tuple[object, ...]:
        decider = self.decider
        return decider.method, decider.reason, self.kind.value, self.known_by, self.windows, self.usual

    def observe(self, n: int) -> None:
        self.windows += 1
        self.usual += (math.log(max(n, 1)) - self.usual) / min(self.windows, _USUAL_OVER)


class Deciding:
    """Decides whose verdict counts.

    Args:
        decide_by: A detector or "auto", for each kind of column.
        detectors: Those that are configured, by name.
    """

    def __init__(self, decide_by: DecisionSettings, detectors: Mapping[str, DriftDetector]) -> None:
        self._decide_by = decide_by
        self._detectors = detectors
        self._allowed = {
            kind: [name for name, detector in detectors.items() if compares(detector, kind)] for kind in FeatureKind
        }
        psi = detectors.get("psi")
        self._psi = PSI_THRESHOLD if psi is None else psi.threshold
        self._tuned = {name for name, detector in detectors.items() if detector.threshold != type(detector)().threshold}
        self._models: OrderedDict[ModelKey, dict[FeatureKey, _Kept]] = OrderedDict()

    def deciders(
        self,
        model: ModelKey,
        summaries: Sequence[FeatureSummary],
        baseline: Baseline | None,
        measured: Mapping[FeatureKey, Measurement],
        *,
        is_whole: bool = True,
    ) -> dict[FeatureKey, Decider]:
        """Whose verdict counts, for each column that is compared at all.

        Args:
            measured: What is known of the columns that were compared with the baseline.
            is_whole: Whether the window is the whole model's; a segment is judged by what was chosen for the whole.
        """
        found: dict[FeatureKey, Decider] = {}
        chosen = self._of(model, summaries)
        known_by = "" if baseline is None else baseline.id
        for summary in summaries:
            if summary.key.role is FeatureRole.JOINT:
                found[summary.key] = Decider(self._decide_by.joint)
                continue
            reference = baseline.features.get(summary.key) if baseline is not None else summary
            name = None if reference is None else self._decide_by.detector(reference.kind)
            if reference is None or name is None:
                continue
            if name != AUTO:
                found[summary.key] = Decider(name)
                continue
            measurement = measured.get(summary.key)
            kept = chosen.get(summary.key)
            if kept is None or not self._holds(kept, reference.kind, known_by):
                allowed = self._candidates(reference.kind, measurement)
                choice = _chosen(_evidence(reference.kind, summary, measurement), allowed)
                if choice is None:
                    continue
                kept = _Kept(self._decider(choice), reference.kind, known_by)
            # Too few values to compare tell nothing of how many there usually are.
            if is_whole and (measurement is not None or baseline is None):
                chosen[summary.key] = kept
                kept.observe(_values(summary, measurement))
                if kept.windows % _EVERY == 0:
                    allowed = self._candidates(reference.kind, measurement)
                    kept.decider = self._settled(kept, _evidence(reference.kind, summary, measurement), allowed)
            found[summary.key] = kept.decider
        return found

    def sections(self) -> Mapping[str, Mapping[str, bytes]]:
        """What was chosen, to be kept: models that were silent longest first."""
        return {
            _SECTION: {
                json.dumps([position, *model]): json.dumps(
                    [[key.role.value, key.name, *kept.encoded()] for key, kept in columns.items()]
                ).encode()
                for position, (model, columns) in enumerate(self._models.items())
            }
        }

    def restore(self, store: Store) -> None:
        """Remember what `sections` gave."""
        entries = sorted((json.loads(key), value) for key, value in store.read(_SECTION).items())
        for (_, name, version), value in entries:
            columns = self._models[ModelKey(name, version)] = {}
            for role, column, method, reason, kind, *usual in json.loads(value):
                kept = _Kept(self._decider(Choice(method, reason)), FeatureKind(kind), *usual)
                columns[FeatureKey(FeatureRole(role), column)] = kept

    def _of(self, model: ModelKey, summaries: Sequence[FeatureSummary]) -> dict[FeatureKey, _Kept]:
        found = self._models.setdefault(model, {})
        self._models.move_to_end(model)
        if len(self._models) > _MODELS:
            self._models.popitem(last=False)
        if len(found) > 2 * len(summaries):
            # Columns that nobody sends any more.
            sent = {summary.key for summary in summaries}
            found = self._models[model] = {key: kept for key, kept in found.items() if key in sent}
        return found

    def _holds(self, kept: _Kept, kind: FeatureKind, known_by: str) -> bool:
        """Whether it was chosen for such a column, and is configured still."""
        is_there = kept.decider.method in _OF_CONTENTS or kept.decider.method in self._allowed[kind]
        return is_there and (kept.kind, kept.known_by) == (kind, known_by)

    def _candidates(self, kind: FeatureKind, measurement: Measurement | None) -> list[str]:
        """What may be chosen: of what is configured, and of texts all together, unless a side does not know them."""
        candidates = self._allowed[kind]
        if kind is FeatureKind.TEXT and (
            measurement is None or any(result.method in _OF_CONTENTS for result in measurement.results)
        ):
            return [*candidates, *_OF_CONTENTS]
        return candidates

    def _settled(self, kept: _Kept, evidence: Evidence, allowed: Collection[str]) -> Decider:
        """What is chosen for windows of the usual size, where that would not be taken back soon."""
        usually = replace(evidence, n_current=round(math.exp(kept.usual)))
        choice = choose(usually, allowed)
        if choice.method != kept.decider.method and any(
            choose(varied, allowed).method == kept.decider.method for varied in _around(usually)
        ):
            return kept.decider
        return self._decider(choice)

    def _decider(self, choice: Choice) -> Decider:
        return Decider(choice.method, choice.reason, self._psi, choice.method in self._tuned)


def compares(detector: DriftDetector, kind: FeatureKind | str) -> bool:
    """Whether a detector compares columns of a kind."""
    is_numeric = FeatureKind(kind) in (FeatureKind.NUMERIC, FeatureKind.TEXT)
    return detector.on_numbers if is_numeric else detector.on_categories


def _chosen(evidence: Evidence, allowed: Collection[str]) -> Choice | None:
    try:
        return choose(evidence, allowed)
    except ConfigurationError:
        return None


def _around(evidence: Evidence) -> Iterator[Evidence]:
    for factor in (_MARGIN, 1 / _MARGIN):
        yield replace(evidence, n_current=round(factor * evidence.n_current))
        yield replace(evidence, rank_error=factor * evidence.rank_error)


def _evidence(kind: FeatureKind, summary: FeatureSummary, measurement: Measurement | None) -> Evidence:
    pair = None if measurement is None or measurement.pair is None else measurement.pair()
    if pair is None:
        # Without a baseline, what comes tells what there is.
        pair = distributions(summary, summary)
    if pair is None:
        values = _values(summary, measurement)
        return Evidence(kind, values, values)
    return Evidence.of(kind, pair)


def _values(summary: FeatureSummary, measurement: Measurement | None) -> int:
    if measurement is not None:
        return measurement.n_current
    counters = summary.counters
    return counters.rows - counters.missing - counters.mismatched
