"""Some rows of the training data, as they are: what a classifier compares rows of requests with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml import semconv
from otel_ml.baseline.columns import STEP
from otel_ml.baseline.values import boolean_of, category_of, is_missing, number_of
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import FeatureKind, FeatureRole
from otel_ml.sketch.row_sample import EVERY_ROW, MAX_COLUMNS, MAX_ROWS, PriorityArray, RowSample, SampledColumn
from otel_ml.sketch.summary import CategoricalSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from otel_ml.baseline.columns import Column
    from otel_ml.sketch.feature import FeatureKey
    from otel_ml.sketch.summary import FeatureSummary

_SAMPLED: Final = frozenset((FeatureKind.NUMERIC, FeatureKind.BOOLEAN, FeatureKind.CATEGORICAL))
# The same rows of the same data, so that a baseline that is built again has the same id.
_SEED: Final = 0


def check_sample_rows(rows: int) -> None:
    """Make sure that so many rows can be asked for.

    Raises:
        BaselineError: They cannot.
    """
    if not isinstance(rows, int) or isinstance(rows, bool) or not 0 <= rows <= MAX_ROWS:
        raise BaselineError(f"sample_rows: {rows!r} (a whole number from 0 to {MAX_ROWS})")


def sample_of(
    columns: Mapping[FeatureKey, Column],
    summaries: Mapping[FeatureKey, FeatureSummary],
    rows: int,
    size: int,
    hashed: Callable[[FeatureKey], Callable[[str], str] | None],
) -> RowSample | None:
    """A uniform sample of `size` of the data's `rows`, of the features that are numbers, truth values and categories.

    Categories are called what the columns' summaries call them: those that have no name there, "_OTHER".

    Args:
        hashed: What turns a column's categories into hashes, where they are to be.

    Returns:
        None where no row is asked for, or there is no such feature.
    """
    features = {
        SampledColumn(key.name, summary.kind is FeatureKind.NUMERIC): key
        for key, summary in summaries.items()
        if key.role is FeatureRole.FEATURE and summary.kind in _SAMPLED
    }
    if not size or not features:
        return None
    priorities, places, threshold = _drawn(rows, size)
    order = np.argsort(places)
    priorities, places = priorities[order], places[order]
    found: dict[SampledColumn, Any] = {}
    for sampled in sorted(features)[:MAX_COLUMNS]:
        key = features[sampled]
        if sampled.is_numeric:
            found[sampled] = _at(places, (batch.values for batch in columns[key].numbers()))
        else:
            rename = hashed(key) or _named(summaries[key])
            read = _truth if summaries[key].kind is FeatureKind.BOOLEAN else _category
            names = map(read, _at(places, columns[key].pieces()))
            found[sampled] = [None if name is None else rename(name) for name in names]
    numbers = {column: [_number(value) for value in values] for column, values in found.items() if column.is_numeric}
    return RowSample.of(priorities, {**found, **numbers}, threshold=threshold)


def _drawn(rows: int, size: int) -> tuple[PriorityArray, npt.NDArray[np.int64], int]:
    """Priorities and places of the rows that have the smallest priorities, and the smallest of the others'."""
    chance = np.random.default_rng(_SEED)
    priorities: PriorityArray = np.empty(0, np.uint64)
    places = np.empty(0, np.int64)
    for start in range(0, rows, STEP):
        block = chance.integers(EVERY_ROW, size=min(STEP, rows - start), dtype=np.uint64)
        priorities = np.concatenate([priorities, block])
        places = np.concatenate([places, np.arange(start, start + len(block))])
        kept = np.argsort(priorities, kind="stable")[: size + 1]
        priorities, places = priorities[kept], places[kept]
    if len(priorities) <= size:
        return priorities, places, EVERY_ROW
    return priorities[:size], places[:size], int(priorities[size])


def _at(places: npt.NDArray[np.int64], pieces: Iterator[Any]) -> list[Any]:
    """The values at some places, increasing, of a column that comes piece by piece."""
    found: list[Any] = []
    start = 0
    for piece in pieces:
        first, last = np.searchsorted(places, [start, start + len(piece)]).tolist()
        found.extend(piece[place] for place in (places[first:last] - start).tolist())
        start += len(piece)
    return found


def _named(summary: FeatureSummary) -> Callable[[str], str]:
    content = summary.content
    if not isinstance(content, CategoricalSummary):
        return lambda name: name
    names = content.categories.counts
    return lambda name: name if name in names else semconv.OTHER_LABEL


def _number(value: Any) -> float:
    number = number_of(value)
    return math.nan if number is None else number


def _category(value: Any) -> str | None:
    return None if is_missing(value) else category_of(value)


def _truth(value: Any) -> str | None:
    truth = None if is_missing(value) else boolean_of(value)
    return None if truth is None else str(truth)
