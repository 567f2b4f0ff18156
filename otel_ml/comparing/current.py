"""Current data as a server with the baseline would have summarised them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.baseline.baseline import Baseline
from otel_ml.baseline.build import open_table
from otel_ml.baseline.counted import count_booleans, count_categories
from otel_ml.baseline.described import summarise_datetimes, summarise_texts, summarise_vectors
from otel_ml.baseline.joint_rows import JointRows
from otel_ml.baseline.numeric import runs, summarise_numbers
from otel_ml.baseline.outputs import output_columns
from otel_ml.drawing.drawable import distribution_of
from otel_ml.errors import BaselineError
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.categories import hashed_name
from otel_ml.sketch.distribution import Distribution
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.feature_encoding import bounded_name
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.summary import CategoricalSummary, Content, FeatureSummary, OpaqueSummary, TextSummary

if TYPE_CHECKING:
    from otel_ml.baseline.columns import Column
    from otel_ml.baseline.frames import Table

_RUN: Final = 1 << 20
OnColumn = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Current:
    """What there is to compare.

    Attributes:
        source: What to call it.
        rows: How many there are.
        summaries: By column of the baseline; each value is in exactly one part, as in a window.
        drawn: By column, what it is drawn by.
        joint: Features together, in the baseline's units; None where they are not known in these.
        added: Names of columns that the baseline does not have.
        why_no_joint: Why they are not known, where they are not.
    """

    source: str
    rows: int
    summaries: Mapping[FeatureKey, FeatureSummary]
    drawn: Mapping[FeatureKey, Distribution]
    joint: EmbeddingSummary | None = None
    added: Sequence[str] = ()
    why_no_joint: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How data are to be read.

    Attributes:
        predictions: Columns, as `Baseline.build` takes them; None takes those that are called as the baseline calls
            its own.
        scores: Likewise.
        features: Names of the columns of a nameless array.
        hashed: Columns whose categories the baseline has as hashes.
        hash_key: The key to these.
        on_column: Is told of each column before it is read: its name, its place, and how many there are.
    """

    predictions: Any = None
    scores: Any = None
    features: Sequence[str] | None = None
    hashed: Sequence[str] = ()
    hash_key: str = ""
    on_column: OnColumn | None = None


def summarised(data: Any, baseline: Baseline, reading: Reading | None = None) -> Current:
    """A baseline, or data as `Baseline.build` takes them, by the schema and in the bins of another baseline.

    Raises:
        BaselineError: The data cannot be read, or have none of the baseline's columns.
    """
    if isinstance(data, Baseline):
        found = _of_baseline(data, baseline)
    else:
        reading = reading or Reading()
        with open_table(data, reading.features) as table:
            found = _of_table(table, baseline, reading)
    if not found.summaries:
        known = ", ".join(repr(key.name) for key in list(baseline.features)[:8])
        raise BaselineError(f"{found.source}: has none of the columns of the baseline (such as {known})")
    return found


def as_window(content: Content, layout: BinLayout | None) -> Content:
    """What a baseline knows of a column, as a window would: each value in one part, in these bins if it has them."""
    if isinstance(content, NumericSummary):
        return _numbers_as_window(content, layout)
    if isinstance(content, TextSummary):
        return replace(content, lengths=_numbers_as_window(content.lengths, layout))
    if isinstance(content, EmbeddingSummary) and content.count:
        return EmbeddingSummary(
            content.dimensions,
            content.count,
            content.total,
            content.products,
            _numbers_as_window(content.norms, layout),
            content.cubes,
            content.fourth,
            content.projected,
        )
    return content


def _numbers_as_window(numbers: NumericSummary, layout: BinLayout | None) -> NumericSummary:
    if layout is not None and layout.hash in numbers.bins:
        return NumericSummary(numbers.moments, {layout.hash: numbers.bins[layout.hash]})
    if numbers.exact is not None and numbers.exact.count:
        return NumericSummary(numbers.moments, exact=numbers.exact)
    return NumericSummary(numbers.moments, histogram=numbers.histogram, quantiles=numbers.quantiles)


def _of_baseline(current: Baseline, baseline: Baseline) -> Current:
    summaries: dict[FeatureKey, FeatureSummary] = {}
    drawn: dict[FeatureKey, Distribution] = {}
    for key, summary in current.features.items():
        if key not in baseline.features:
            continue
        content = as_window(summary.content, baseline.layout(key))
        summaries[key] = FeatureSummary(key, content, summary.counters)
        _add_drawn(drawn, summary, current.layout(key))
    # Correlations are kept in units of a baseline's own, of which no others can be made.
    joint = current.joint
    shared = joint is not None and baseline.joint is not None and joint.layout.hash == baseline.joint.layout.hash
    return Current(
        f"baseline {current.id}",
        current.rows,
        summaries,
        drawn,
        joint.vectors if joint is not None and shared else None,
        [key.name for key in current.features if key not in baseline.features],
        "two baselines know them in units of their own",
    )


def _of_table(table: Table, baseline: Baseline, reading: Reading) -> Current:
    if not table.rows:
        raise BaselineError(f"{table.source}: has no rows (at least one is needed)")
    columns, used = _columns(table, baseline, reading)
    unknown_names = [name for name in reading.hashed if name not in used]
    if unknown_names:
        raise BaselineError(f"{table.source}: column {unknown_names[0]!r} is not compared, and cannot be hashed")
    if reading.hashed and not reading.hash_key:
        raise BaselineError(f"{table.source}: hashing columns needs a key (the servers' OTEL_PYTHON_ML_HASH_KEY)")
    names = baseline.joint.layout.names if baseline.joint is not None else ()
    together = {FeatureKey(FeatureRole.FEATURE, name): FeatureKind.NUMERIC for name in names}
    rows = JointRows(table.rows, together, are_weighed=True)
    summaries: dict[FeatureKey, FeatureSummary] = {}
    drawn: dict[FeatureKey, Distribution] = {}
    for place, (key, column) in enumerate(columns.items()):
        if reading.on_column is not None:
            reading.on_column(key.name, place, len(columns))
        is_hashed = key.name in reading.hashed
        whole, window = _summarised(key, rows.watched(key, column), baseline, table.rows, reading, is_hashed=is_hashed)
        summaries[key] = window
        _add_drawn(drawn, whole, None)
    joint = None
    absent = [key.name for key in together if key not in columns]
    if baseline.joint is not None and not absent:
        joint = EmbeddingSummary.anchored(None, len(names))
        joint.update(baseline.joint.layout.standardised(rows.complete(names)))
    added = [name for name in table.columns if name not in used]
    why_not = f"column {absent[0]!r} is absent" if absent else ""
    return Current(table.source, table.rows, summaries, drawn, joint, added, why_not)


def _columns(table: Table, baseline: Baseline, reading: Reading) -> tuple[dict[FeatureKey, Column], set[str]]:
    """The columns to compare, in the baseline's order, and their names in the data."""
    given = [
        *output_columns(FeatureRole.PREDICTION, reading.predictions, table),
        *output_columns(FeatureRole.SCORE, reading.scores, table),
    ]
    outputs = {output.key: output for output in given}
    for key in outputs:
        if key not in baseline.features:
            raise BaselineError(f"{table.source}: the baseline has no {key.role.value} that is called {key.name!r}")
    columns: dict[FeatureKey, Column] = {}
    # A baseline keeps names that its file cannot hold in another form.
    named = {bounded_name(name): name for name in table.columns}
    used: set[str] = {output.known_as for output in given if output.known_as is not None}
    for key in baseline.features:
        if key in outputs:
            columns[key] = outputs[key].column
        elif key.name in named and named[key.name] not in used:
            columns[key] = table.columns[named[key.name]]
            used.add(named[key.name])
    return columns, used


def _summarised(
    key: FeatureKey, column: Column, baseline: Baseline, rows: int, reading: Reading, *, is_hashed: bool
) -> tuple[FeatureSummary, FeatureSummary]:
    """A column in all sketches, and as a window has it."""
    reference, layout = baseline.features[key], baseline.layout(key)
    kind = reference.kind
    content: Content
    if kind is FeatureKind.NUMERIC:
        content, counters, _ = summarise_numbers(column, rows)
        _count_unread(counters, column, rows)
        whole = FeatureSummary(key, content, counters)
        return whole, FeatureSummary(key, _anchored(content, column, layout), counters)
    if kind is FeatureKind.BOOLEAN:
        content, counters = count_booleans(column)
    elif kind is FeatureKind.CATEGORICAL:
        categories, counters = count_categories(column)
        if categories is not None and is_hashed:
            categories.categories = categories.categories.renamed(
                lambda name: hashed_name(name, reading.hash_key.encode())
            )
        content = CategoricalSummary() if categories is None else categories
        if categories is None:
            # Documents, of which nobody makes a category.
            counters.mismatched = counters.rows - counters.missing
    elif kind is FeatureKind.TEXT:
        content, counters, _ = summarise_texts(column)
    elif kind is FeatureKind.DATETIME:
        content, counters = summarise_datetimes(column)
    elif kind is FeatureKind.EMBEDDING:
        like = reference.content if isinstance(reference.content, EmbeddingSummary) else None
        content, counters, _ = summarise_vectors(column, like)
    else:
        content, counters = OpaqueSummary(), Counters(rows=rows, missing=column.missing())
    _count_unread(counters, column, rows)
    whole = FeatureSummary(key, content, counters)
    return whole, FeatureSummary(key, as_window(content, layout), counters)


def _count_unread(counters: Counters, column: Column, rows: int) -> None:
    """Count what is of a type that cannot even be read as the baseline reads it, such as durations as numbers."""
    if counters.rows < rows:
        counters.rows, counters.missing = rows, column.missing()
        counters.mismatched = rows - counters.missing


def _anchored(numbers: NumericSummary, column: Column, layout: BinLayout | None) -> NumericSummary:
    """The same numbers counted in bins of the baseline, once more read where they are not all known."""
    if layout is None or not numbers.count:
        return _numbers_as_window(numbers, layout)
    counts = np.zeros(layout.bins, np.int64)
    if numbers.exact is not None:
        np.add.at(counts, layout.edges.searchsorted(numbers.exact.values), numbers.exact.counts)
    else:
        for values in runs(column.numbers(), Counters(), _RUN):
            values.sort()
            counts += layout.count_sorted(values)
    return NumericSummary(numbers.moments, {layout.hash: AnchoredBins(layout.hash, counts, layout)})


def _add_drawn(drawn: dict[FeatureKey, Distribution], summary: FeatureSummary, layout: BinLayout | None) -> None:
    found = distribution_of(summary, layout)
    if found is not None:
        drawn[summary.key] = found
