"""Asking detectors about every column, and deciding as the processor does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from otel_ml.baseline.baseline import Baseline
from otel_ml.baseline.joint import Joint
from otel_ml.baseline.suggestion import unknown
from otel_ml.comparing.column import MethodResult
from otel_ml.comparing.current import Current
from otel_ml.drift.choice import PSI_THRESHOLD, Evidence, choose, equivalent_threshold
from otel_ml.drift.columns import Columns, Pair
from otel_ml.drift.comparison import distributions
from otel_ml.drift.contents import compare_contents
from otel_ml.drift.detector import DriftDetector, DriftResult
from otel_ml.drift.explanation import MovedCell, effect_sizes, moved_cells
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE, CorrelationShift, VectorPair, compare_vectors
from otel_ml.drift.registry import DEFAULT_DETECTORS, create
from otel_ml.drift.text import METHODS, moved_text
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.distribution import Distribution
from otel_ml.sketch.feature import FeatureKey, FeatureKind
from otel_ml.sketch.summary import FeatureSummary, TextSummary

AUTO: Final = "auto"
"""Instead of a detector's name: the one that finds most in such a column."""
JOINT: Final = "joint"
"""In place of a kind of column: features together."""
DECIDE_BY: Final[Mapping[str, str]] = MappingProxyType(
    {"numeric": AUTO, "categorical": AUTO, "boolean": AUTO, "datetime": AUTO}
    | {"text": "content", "embedding": "mahalanobis", JOINT: "correlation"}
)
"""Whose verdict counts, by kind of column, unless somebody says otherwise."""

_CELLS: Final = 3
_STANDS_FOR: Final[Mapping[FeatureKind, str]] = MappingProxyType(
    {FeatureKind.TEXT: "length", FeatureKind.EMBEDDING: "norm", FeatureKind.DATETIME: "hour"}
)
"""What is counted of a column whose values are not counted themselves."""
_LEAST_TOLD: Final = 0.05
"""Change of a correlation that is worth being named, and the q-value below which it is no accident."""
_FARTHEST: Final = 2.0
"""What two sides differ by that have no value in common; see `effect_sizes`."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who is asked, and whose verdict counts.

    Attributes:
        detectors: Of distributions, by name.
        decide_by: A detector or "auto", by kind of column.
    """

    detectors: Mapping[str, DriftDetector]
    decide_by: Mapping[str, str]

    @classmethod
    def of(
        cls, detectors: Iterable[str | DriftDetector] | None = None, decide_by: str | Mapping[str, str] | None = None
    ) -> Asking:
        """Those that are named, the default ones where none is.

        A detector that decides is asked in any case. A single name decides about all columns that it compares.

        Raises:
            ConfigurationError: There is no such detector, or no such kind of column.
        """
        if isinstance(detectors, str):
            detectors = [detectors]
        asked = [
            create(given, path="detectors") if isinstance(given, str) else given
            for given in (DEFAULT_DETECTORS if detectors is None else detectors)
        ]
        named = {detector.name: detector for detector in asked}
        if isinstance(decide_by, str):
            decide_by = _kinds_decided_by(decide_by)
        for kind, name in (decide_by or {}).items():
            if kind not in DECIDE_BY:
                raise ConfigurationError(f"decide_by: {unknown('kind of column', str(kind), list(DECIDE_BY))}")
            if name != AUTO and name not in METHODS and name not in BUILTIN_MULTIVARIATE and name not in named:
                named[name] = create(name, path="decide_by")
        return cls(named, {**DECIDE_BY, **(decide_by or {})})

    def candidates(self, kind: FeatureKind) -> list[str]:
        """Those that compare such columns."""
        is_numeric = kind in (FeatureKind.NUMERIC, FeatureKind.TEXT, FeatureKind.EMBEDDING)
        return [
            name
            for name, detector in self.detectors.items()
            if (detector.on_numbers if is_numeric else detector.on_categories)
        ]

    def threshold(self, result: DriftResult, *, was_chosen: bool) -> float:
        """The score above which a difference counts; of a method that was chosen, one as big as PSI's threshold."""
        if not was_chosen or result.method == "psi":
            return result.threshold
        detector = self.detectors.get(result.method)
        if detector is not None and detector.threshold != type(detector)().threshold:
            return result.threshold
        psi = self.detectors.get("psi")
        equivalent = equivalent_threshold(result.method, PSI_THRESHOLD if psi is None else psi.threshold)
        return result.threshold if equivalent is None else equivalent


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of how far one column is from its reference.

    Attributes:
        results: Of every detector that was asked and suits the column; their q-values are not known yet.
        method: Whose verdict counts; None where nothing was compared.
        reason: Why, in a sentence; or why nothing was compared.
        effect: How far the column moved, in standard deviations, at most 2; of no meaning where it did not.
        moved: Tells what changed most.
    """

    results: Sequence[MethodResult] = ()
    method: str | None = None
    reason: str = ""
    effect: float = 0.0
    moved: Callable[[], list[MovedCell]] = field(default=list)

    @property
    def decision(self) -> MethodResult | None:
        """What the deciding method says."""
        return next((result for result in self.results if result.method == self.method), None)


def measured(baseline: Baseline, current: Current, asking: Asking, min_rows: int) -> dict[FeatureKey, Measured]:
    """What detectors say about each column of a baseline, and about features together, with q-values."""
    found: dict[FeatureKey, Measured] = {}
    for key, reference in baseline.features.items():
        summary = current.summaries.get(key)
        if summary is None:
            found[key] = Measured(reason="absent from the current data")
        else:
            found[key] = _column(reference, summary, baseline, asking, min_rows)
    if baseline.joint is not None:
        found[baseline.joint.layout.key] = _together(baseline.joint, current, asking, min_rows)
    return _corrected(found)


def _column(
    reference: FeatureSummary, summary: FeatureSummary, baseline: Baseline, asking: Asking, min_rows: int
) -> Measured:
    kind = reference.kind
    if kind is FeatureKind.OPAQUE:
        return Measured(reason="of a type that is not compared")
    if kind is not summary.kind:
        return Measured(reason=f"{summary.kind.value} now")
    pair = distributions(reference, summary, baseline.layout(reference.key))
    contents = compare_contents(reference, summary)
    values = min(_values(pair, contents))
    if values < 1:
        return Measured(reason=_why_not(summary))
    if values < min_rows:
        return Measured(reason=f"too few values: {values:,} (at least {min_rows:,})")
    results = list(contents)
    effect = 0.0
    if pair is not None:
        columns = Columns([pair])
        asked = [asking.detectors[name] for name in asking.candidates(kind)]
        results += [result for detector in asked for result in detector.results(columns)]
        effect = float(effect_sizes(columns)[0])
    results = [result for result in results if not math.isnan(result.score)]
    method, reason, was_chosen = _decider(kind, pair, results, asking)
    told = [
        MethodResult(
            result.method,
            result.score,
            asking.threshold(result, was_chosen=was_chosen) if result.method == method else result.threshold,
            result.p_value,
        )
        for result in results
    ]
    deciding = next((result for result in told if result.method == method), None)
    if deciding is not None and method not in asking.detectors:
        effect = max(effect, _effect_of_contents(deciding))
    return Measured(told, method, reason, effect, lambda: _moved(reference, summary, pair))


def _decider(
    kind: FeatureKind, pair: Pair | None, results: Sequence[DriftResult], asking: Asking
) -> tuple[str | None, str, bool]:
    """The method that decides, why, and whether it was chosen among several."""
    there = {result.method for result in results}
    name = asking.decide_by.get(kind.value, AUTO)
    if name in there:
        return name, f"{name}: configured", False
    if name != AUTO and name not in METHODS and name not in BUILTIN_MULTIVARIATE:
        return None, f"{name} does not compare such columns", False
    if pair is None:
        return None, "nothing that could be compared", False
    of_pair = FeatureKind.NUMERIC if kind in (FeatureKind.TEXT, FeatureKind.EMBEDDING) else kind
    try:
        choice = choose(Evidence.of(of_pair, pair), [method for method in there if method in asking.detectors])
    except ConfigurationError as error:
        return None, str(error), False
    return choice.method, choice.reason, True


def _together(joint: Joint, current: Current, asking: Asking, min_rows: int) -> Measured:
    """How far correlations are from those of the baseline."""
    now = current.joint
    if now is None:
        return Measured(reason=f"correlations: {current.why_no_joint}")
    pair = VectorPair.of(joint.vectors, now, joint.noise)
    if pair is None or min(pair.n, pair.m) < min_rows:
        return Measured(reason=f"too few rows that have all features: {now.count:,} (at least {min_rows:,})")
    detectors = [detector() for detector in BUILTIN_MULTIVARIATE.values()]
    results = compare_vectors(joint.vectors, now, detectors, joint.noise)
    told = [
        MethodResult(result.method, result.score, result.threshold, result.p_value)
        for result in results
        if not math.isnan(result.score)
    ]
    method = asking.decide_by[JOINT]
    deciding = next((result for result in told if result.method == method), None)
    if deciding is None:
        return Measured(told, reason=f"{method} does not compare features together")
    return Measured(
        told,
        method,
        f"{method}: {len(joint.layout.names)} features together",
        _effect_of_contents(deciding),
        lambda: _moved_pairs(pair, joint.layout.names),
    )


def _corrected(found: Mapping[FeatureKey, Measured]) -> dict[FeatureKey, Measured]:
    """The same with q-values: of the deciding results one family, and of each other method another."""
    families: dict[str, list[tuple[FeatureKey, int]]] = {}
    for key, of_column in found.items():
        for place, result in enumerate(of_column.results):
            name = "" if result.method == of_column.method else result.method
            families.setdefault(name, []).append((key, place))
    corrected = {key: list(of_column.results) for key, of_column in found.items()}
    for family in families.values():
        q_values = benjamini_hochberg([corrected[key][place].p_value for key, place in family])
        for (key, place), q_value in zip(family, q_values, strict=True):
            corrected[key][place] = replace(corrected[key][place], q_value=q_value)
    return {key: replace(of_column, results=corrected[key]) for key, of_column in found.items()}


def _kinds_decided_by(name: str) -> dict[str, str]:
    """The kinds of column that a detector can decide about."""
    if name == AUTO:
        return {}
    if name in METHODS:
        return {"text": name}
    if name in BUILTIN_MULTIVARIATE:
        return {"embedding": name}
    detector = create(name, path="decide_by")
    kinds = [
        *(("numeric",) if detector.on_numbers else ()),
        *(("categorical", "boolean", "datetime") * detector.on_categories),
    ]
    return dict.fromkeys(kinds, name)


def _values(pair: Pair | None, contents: Sequence[DriftResult]) -> tuple[int, int]:
    """How many values each side has that can be compared."""
    if pair is not None:
        return pair[0].total, pair[1].total
    return next(((result.n_reference, result.n_current) for result in contents), (0, 0))


def _why_not(summary: FeatureSummary) -> str:
    if not summary.counters.valid:
        return "no values now"
    if summary.kind is FeatureKind.DATETIME:
        return "points in time within one day, whose hours say nothing"
    return "nothing that could be compared"


def _effect_of_contents(result: MethodResult) -> float:
    """How far a column moved of which more than a distribution was compared.

    What is just as big as a PSI of 0.2 moves by about the root of 0.2 standard deviations, and scores of these methods
    grow with what moves.
    """
    if result.threshold <= 0:
        return _FARTHEST
    return min(_FARTHEST, math.sqrt(PSI_THRESHOLD) * result.score / result.threshold)


def _moved(
    reference: FeatureSummary, summary: FeatureSummary, pair: tuple[Distribution, Distribution] | None
) -> list[MovedCell]:
    was, now = reference.content, summary.content
    if isinstance(was, TextSummary) and isinstance(now, TextSummary):
        of_text = moved_text(was, now, _CELLS)
        if of_text:
            return of_text
    cells = [] if pair is None else moved_cells(*pair, k=_CELLS)
    what = _STANDS_FOR.get(reference.kind)
    return cells if what is None else [replace(cell, label=f"{what} {cell.label}") for cell in cells]


def _moved_pairs(pair: VectorPair, names: Sequence[str]) -> list[MovedCell]:
    """The pairs of features whose correlation changed most, and by more than chance, with both correlations."""
    sizes = {
        change: abs(change.current - change.reference)
        for change in CorrelationShift().changes(pair, limit=len(names) * len(names))
        if change.q_value is None or change.q_value <= _LEAST_TOLD
    }
    told = sorted((change for change in sizes if sizes[change] >= _LEAST_TOLD), key=lambda change: -sizes[change])
    total = sum(sizes[change] for change in told)
    return [
        MovedCell(
            f"{names[change.first]} ~ {names[change.second]}",
            change.reference,
            change.current,
            sizes[change] / total,
            is_share=False,
        )
        for change in told[:_CELLS]
    ]
