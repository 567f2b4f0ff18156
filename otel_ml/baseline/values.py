"""What one value of a training set means: missing, a number, a truth value, a category.

Recording reads the values of requests by the same rules; a baseline that read them otherwise would show drift where
there is none.
"""

from __future__ import annotations

import math
from numbers import Number
from typing import Any, Final

import numpy as np

from otel_ml.sketch.categories import NAME_LENGTH
from otel_ml.sketch.feature import FeatureKind
from otel_ml.sketch.text import bounded

# pandas.NA and pandas.NaT, by name, so that pandas need not be imported.
_MISSING_TYPES: Final = frozenset(("NAType", "NaTType"))


def is_missing(value: Any) -> bool:
    """True for None, NaN, NaT and pandas.NA."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    if isinstance(value, np.inexact):
        return bool(np.isnan(value))
    return type(value).__name__ in _MISSING_TYPES


def number_of(value: Any) -> float | None:
    """`value` as a double: NaN when it is missing, ±inf when it is beyond a double's range, None when it is no number.

    Text is no number, not even "12": a model would not take it either.
    """
    if isinstance(value, float):
        return float(value)
    if is_missing(value):
        return math.nan
    if not isinstance(value, (Number, np.bool_)) or isinstance(value, (complex, np.complexfloating)):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]
    except (TypeError, ValueError):  # a signalling Decimal NaN
        return None


def boolean_of(value: Any) -> bool | None:
    """`value` as a truth value: True, False, 0 and 1; None when it is neither."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, np.timedelta64):  # NumPy counts it among the numbers, and warns when it is compared with one
        return None
    try:
        return bool(value) if isinstance(value, (Number, np.number)) and value in (0, 1) else None
    except ArithmeticError:  # a signalling Decimal NaN
        return None


def category_of(value: Any) -> str | None:
    """`value` as a category's name; None when it is of a type that has none.

    Whole numbers read the same whether they came as 9 or, through a column with gaps, as 9.0.
    """
    if isinstance(value, str):
        return bounded(value, NAME_LENGTH)
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if type(value) is np.timedelta64:  # NumPy counts it among the integers
        return None
    if isinstance(value, (int, np.integer)):
        return str(int(value))[:NAME_LENGTH] if abs(value) < 10**30 else None
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else str(number)
    return None


def kind_of_type(type_: type) -> FeatureKind:
    """How values of a Python type are to be read."""
    if issubclass(type_, (bool, np.bool_)):
        return FeatureKind.BOOLEAN
    if issubclass(type_, str):
        return FeatureKind.CATEGORICAL
    is_number = issubclass(type_, Number) and not issubclass(type_, (complex, np.complexfloating))
    # NumPy registers its integers and floats as numbers, and counts durations among the integers.
    return FeatureKind.NUMERIC if is_number and not issubclass(type_, np.timedelta64) else FeatureKind.OPAQUE
