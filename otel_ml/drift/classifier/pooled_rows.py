"""Rows of two samples in one matrix of codes that say nothing of where a row comes from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from otel_ml.sketch.row_sample import ObjectArray, RowSample, SampledColumn
from otel_ml.sketch.sketch import FloatArray

MAX_CODES: Final = 63
"""Categories of a column that are told apart, the most frequent ones; all others are one more."""
RARE: Final = 20
"""Rows that a category must have, in both samples together, to be told apart."""


@dataclass(frozen=True, slots=True)
class PooledRows:
    """What both samples have in common.

    Attributes:
        names: Of the columns, in the order of the matrix.
        codes: (rows, columns) the reference's rows first. Numbers are replaced by their ranks, which is all that a tree
            looks at and overflows nowhere; categories by codes from 0 to `MAX_CODES`; NaN where a value is missing.
        is_categorical: (columns,) which are which.
        is_current: (rows,) whether a row is of the current window.
        left_out: Names of columns that only one sample has, or that were read as numbers in one only.
    """

    names: tuple[str, ...]
    codes: FloatArray
    is_categorical: npt.NDArray[np.bool_]
    is_current: npt.NDArray[np.bool_]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, reference: RowSample, current: RowSample) -> PooledRows:
        """The rows of two samples."""
        shared = [column for column in reference.columns if column in current.columns]
        alone = (reference.columns.keys() ^ current.columns.keys()) - set(shared)
        codes = np.empty((len(reference) + len(current), len(shared)))
        for place, column in enumerate(shared):
            values = np.concatenate([reference.columns[column], current.columns[column]])
            codes[:, place] = _ranks(values) if column.is_numeric else _category_codes(values)
        return cls(
            tuple(_titles(shared)),
            codes,
            np.array([not column.is_numeric for column in shared], bool),
            np.arange(len(codes)) >= len(reference),
            tuple(sorted({column.name for column in alone})),
        )


def _titles(columns: list[SampledColumn]) -> list[str]:
    """The names; where one was read as numbers in some rows and as categories in others, each says so."""
    often = Counter(column.name for column in columns)
    kinds = {True: "numbers", False: "categories"}
    return [
        column.name if often[column.name] == 1 else f"{column.name} ({kinds[column.is_numeric]})" for column in columns
    ]


def _ranks(values: FloatArray) -> FloatArray:
    _, places = np.unique(values, return_inverse=True)
    ranks: FloatArray = places.reshape(-1).astype(np.float64)
    ranks[np.isnan(values)] = np.nan
    return ranks


def _category_codes(values: ObjectArray) -> FloatArray:
    names: list[str | None] = values.tolist()
    counts = Counter(name for name in names if name is not None)
    # By how often a name is there, whichever sample has it: what looked at where a row comes from would tell it.
    frequent = sorted((name for name in counts if counts[name] >= RARE), key=lambda name: (-counts[name], name))
    codes: dict[str | None, float] = {name: float(code) for code, name in enumerate(frequent[:MAX_CODES], start=1)}
    codes[None] = np.nan
    return np.array([codes.get(name, 0.0) for name in names], np.float64)
