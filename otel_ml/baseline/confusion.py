"""Counting a model's predictions by their labels, piece by piece, wherever the two columns are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from otel_ml.baseline.frames import Table, frame_table, values_column
from otel_ml.baseline.values import boolean_of, category_of, is_missing, number_of
from otel_ml.errors import BaselineError
from otel_ml.sketch.confusion import MAX_CLASSES, ConfusionCounts
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from otel_ml.baseline.columns import Column

    Read: TypeAlias = Callable[[Any], str | None]

Codes: TypeAlias = npt.NDArray[np.int64]

_NONE: Final = -1
"""The code of a value that is missing or of no class."""
_ENOUGH: Final = 2 * MAX_CLASSES
"""Numbers among which there are too many classes, were some of them infinite or missing."""
_CLASSES: Final = frozenset((FeatureKind.CATEGORICAL, FeatureKind.NUMERIC, FeatureKind.BOOLEAN))


def label_column(given: Any, table: Table) -> tuple[Column, str | None]:
    """The column of labels, and its name where it is one of the table's.

    Args:
        given: The name of a column of `table`, or one label a row.
        table: The training data.

    Raises:
        BaselineError: There is no such column, or the values are not one label per row.
    """
    if isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(given[0], str) and table.rows > 1:
        given = given[0]
    if isinstance(given, str):
        name, column = given, table.column(given)
    elif len(getattr(given, "shape", ())) == 2:
        only = frame_table(given)
        if len(only.columns) != 1:
            raise BaselineError(f"labels: {len(only.columns)} columns (expected one label per row)")
        name, column = None, next(iter(only.columns.values()))
    else:
        name, column = None, values_column(given, "labels")
    rows = table.rows if name is not None else len(given)
    if rows != table.rows:
        raise BaselineError(f"labels: {rows} rows ({table.source} has {table.rows})")
    if column.kind not in _CLASSES and column.missing() < rows:
        subject = "labels" if name is None else f"{table.source}: column {name!r}"
        raise BaselineError(f"{subject}: {column.kind.value} values are no labels (text, numbers or truth values)")
    return column, name


def count_confusion(prediction: Column, kind: FeatureKind, label: Column) -> ConfusionCounts | None:
    """Rows by prediction and label; those without one of the two are left out.

    A class goes by the name that its category has in a window: "3" for 3 and 3.0, "true" and "false" where the
    predictions are truth values. Labels are read as the predictions are wherever they can be, so that 1 and True are
    one class.

    Args:
        prediction: The model's output.
        kind: How its values are read.
        label: What was true, one a row.

    Returns:
        None when there are more than 64 predictions or labels, or no row with both.
    """
    if kind not in _CLASSES or label.kind not in _CLASSES:
        return None
    read = _READ[kind]
    predictions: dict[str, int] = {}
    labels: dict[str, int] = {}
    counts = np.zeros(MAX_CLASSES * MAX_CLASSES, np.int64)
    pieces = _aligned(_codes(prediction, read, predictions), _codes(label, _first(read, _category), labels))
    for predicted, true in pieces:
        if len(predictions) > MAX_CLASSES or len(labels) > MAX_CLASSES:
            return None
        known = (predicted != _NONE) & (true != _NONE)
        counts += np.bincount(predicted[known] * MAX_CLASSES + true[known], minlength=len(counts))
    return ConfusionCounts.of(predictions, labels, counts.reshape(MAX_CLASSES, MAX_CLASSES))


def _codes(column: Column, read: Read, names: dict[str, int]) -> Iterator[Codes]:
    """Each value as the number of its name, which is added to `names` when it is new.

    Of more classes than are kept none is counted, so that no more are named than it takes to find that out.
    """
    for distinct, places in _coded(column):
        used = np.flatnonzero(np.bincount(places + 1, minlength=len(distinct) + 1)[1:])
        codes = np.full(len(distinct) + 1, _NONE, np.int64)
        for place in used.tolist():
            codes[place] = _code(distinct[place], read, names)
            if len(names) > MAX_CLASSES:
                break
        yield codes[places]  # the last one is for -1


def _coded(column: Column) -> Iterator[tuple[Sequence[Any], Codes]]:
    """Some consecutive rows after the other: distinct values, and each row's place among them, -1 for none."""
    if column.kind is FeatureKind.NUMERIC:
        for batch in column.numbers():
            values, places = np.unique(batch.values, return_inverse=True)
            yield values[:_ENOUGH].tolist(), np.where(places < _ENOUGH, places, -1).reshape(-1)
        return
    # Where Arrow has the strings it numbers them ten times as fast as Python.
    coded: Callable[[], Iterator[tuple[Sequence[Any], Codes]]] | None = getattr(column, "coded", None)
    if coded is not None:
        yield from coded()
        return
    for piece in column.pieces():
        values_of_piece = [value if _is_hashable(value) else None for value in piece]
        distinct = list(set(values_of_piece))
        place_of = {value: place for place, value in enumerate(distinct)}
        yield distinct, np.fromiter(map(place_of.__getitem__, values_of_piece), np.int64, len(values_of_piece))


def _code(value: Any, read: Read, names: dict[str, int]) -> int:
    name = None if is_missing(value) else read(value)
    return _NONE if name is None else names.setdefault(name, len(names))


def _aligned(left: Iterator[Codes], right: Iterator[Codes]) -> Iterator[tuple[Codes, Codes]]:
    """Two columns, cut into pieces in two ways, in pieces of the same rows."""
    first, second = next(left, None), next(right, None)
    while first is not None and second is not None:
        rows = min(len(first), len(second))
        if rows:
            yield first[:rows], second[:rows]
        first = first[rows:] if len(first) > rows else next(left, None)
        second = second[rows:] if len(second) > rows else next(right, None)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _number(value: Any) -> str | None:
    number = number_of(value)
    return None if number is None or not math.isfinite(number) else category_of(number)


def _truth(value: Any) -> str | None:
    truth = boolean_of(value)
    return None if truth is None else str(truth).lower()


def _category(value: Any) -> str | None:
    # An infinite number is counted as such, and is no category.
    is_infinite = isinstance(value, (float, np.floating)) and not math.isfinite(value)
    return None if is_infinite else category_of(value)


def _first(*reads: Read) -> Read:
    """The first of several ways to read a value that gives a name."""
    return lambda value: next((name for read in reads if (name := read(value)) is not None), None)


_READ: Final = {FeatureKind.NUMERIC: _number, FeatureKind.BOOLEAN: _truth, FeatureKind.CATEGORICAL: _category}
