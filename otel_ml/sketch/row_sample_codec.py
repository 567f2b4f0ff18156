"""Sampled rows as a message and back; what is read may have been written by anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.categories import NAME_LENGTH as CATEGORY_LENGTH
from otel_ml.sketch.feature_decoding import NAME_LENGTH
from otel_ml.sketch.feature_encoding import bounded_name
from otel_ml.sketch.numbers_decoding import fail
from otel_ml.sketch.row_sample import MAX_COLUMNS, MAX_ROWS, ObjectArray, PriorityArray, RowSample, SampledColumn
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.text import bounded

_MISSING: Final = 0


def write_row_sample(message: pb.RowSample, sample: RowSample) -> None:
    """Fill an empty message with a sample of at least one row."""
    message.threshold = sample.threshold
    message.priorities.extend(sample.priorities.tolist())
    places: dict[str | None, int] = {None: _MISSING}
    for column, values in sample.columns.items():
        if column.is_numeric:
            message.number_names.append(bounded_name(column.name))
            message.numbers.extend(values.tolist())
            continue
        message.category_names.append(bounded_name(column.name))
        texts = [None if value is None else bounded(value, CATEGORY_LENGTH) for value in values.tolist()]
        for text in texts:
            places.setdefault(text, len(places))
        message.codes.extend([places[text] for text in texts])
    message.categories.extend(text for text in places if text is not None)


def read_row_sample(message: pb.RowSample) -> RowSample:
    """The sample in a message.

    Raises:
        CorruptSnapshotError: It contradicts itself, or is larger than any sample may be.
    """
    rows = len(message.priorities)
    if not 1 <= rows <= MAX_ROWS:
        fail(f"row_sample: {rows} rows (1 to {MAX_ROWS})")
    priorities: PriorityArray = np.array(message.priorities, np.uint64)
    if (priorities[1:] < priorities[:-1]).any() or int(priorities[-1]) >= message.threshold:
        fail(f"row_sample: priorities decrease, or are not below the threshold {message.threshold}")
    names = [SampledColumn(name, is_numeric=True) for name in message.number_names]
    category_names = [SampledColumn(name, is_numeric=False) for name in message.category_names]
    _check_names([*names, *category_names])
    if len(message.numbers) != rows * len(names) or len(message.codes) != rows * len(category_names):
        fail(
            f"row_sample: {len(message.numbers)} numbers and {len(message.codes)} codes, of {rows} rows with"
            f" {len(names)} and {len(category_names)} columns"
        )
    with np.errstate(invalid="ignore"):  # NumPy warns of signalling NaNs
        numbers: FloatArray = np.array(message.numbers, np.float64).reshape(len(names), rows)
    if np.isinf(numbers).any():
        fail("row_sample: a number is infinite (finite, or NaN where it is missing)")
    texts = _texts(message.categories, np.array(message.codes, np.int64)).reshape(len(category_names), rows)
    columns: dict[SampledColumn, FloatArray | ObjectArray] = {
        **dict(zip(names, numbers, strict=True)),
        **dict(zip(category_names, texts, strict=True)),
    }
    return RowSample.of(priorities, columns, threshold=message.threshold)


def _check_names(columns: Sequence[SampledColumn]) -> None:
    if not 1 <= len(columns) <= MAX_COLUMNS or len(set(columns)) < len(columns):
        fail(f"row_sample: {len(columns)} columns, {len(set(columns))} of them distinct (1 to {MAX_COLUMNS}, all)")
    longest = max(len(column.name) for column in columns)
    if longest > NAME_LENGTH:
        fail(f"row_sample: a column's name of {longest} characters (at most {NAME_LENGTH})")


def _texts(categories: Sequence[str], codes: npt.NDArray[np.int64]) -> ObjectArray:
    """What each code stands for."""
    if len(categories) > len(codes):
        fail(f"row_sample: {len(categories)} categories of {len(codes)} values (no more than there are)")
    if max(map(len, categories), default=0) > CATEGORY_LENGTH or len(set(categories)) < len(categories):
        fail(f"row_sample: a category of more than {CATEGORY_LENGTH} characters, or one that is there twice")
    if len(codes) and int(codes.max()) > len(categories):
        fail(f"row_sample: code {int(codes.max())} of {len(categories)} categories")
    names: ObjectArray = np.array([None, *categories], object)
    return names[codes]
