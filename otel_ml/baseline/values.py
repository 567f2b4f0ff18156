"""What one value of a training set means: missing, a number, a category, a point in time, a text, a vector.

Recording reads the values of requests by the same rules; a baseline that read them otherwise would show drift where
there is none.
"""

from __future__ import annotations

import math
import re
from array import array
from datetime import date, datetime, timedelta, timezone
from numbers import Number
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.sketch.categories import NAME_LENGTH
from otel_ml.sketch.embedding import MAX_DIMENSIONS
from otel_ml.sketch.feature import FeatureKind
from otel_ml.sketch.text import bounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from otel_ml.sketch.sketch import FloatArray

MIN_DIMENSIONS: Final = 2
"""Numbers in a list that make it a vector: of one, nobody would make a list."""

_WORDS_OF_TEXT: Final = 4
_FIRST_IDEOGRAPH: Final = "\u2e80"

# pandas.NA and pandas.NaT, by name, so that pandas need not be imported.
_MISSING_TYPES: Final = frozenset(("NAType", "NaTType"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND: Final = timedelta(microseconds=1)
# Not datetime.fromisoformat, which reads more in later versions of Python than in earlier ones.
_ISO_8601: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:Z|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII,
)


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


def datetime_of(value: Any) -> float | None:
    """`value` as seconds since 1970, UTC; None when it is no point in time.

    What says no time zone is taken for UTC, and a date for its midnight. Text in the format of ISO 8601 counts too, but
    makes no column one of points in time: `kind_of_value` calls it categorical.
    """
    if isinstance(value, str):
        return _epoch_of_text(value)
    if is_missing(value):
        return None
    try:
        if isinstance(value, datetime):
            aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
            return _seconds(aware - _EPOCH)
        if isinstance(value, date):
            return float((value.toordinal() - _EPOCH.toordinal()) * 86_400)
        if isinstance(value, np.datetime64):
            return float(epochs_of(np.array([value]))[0])
    except (OverflowError, ValueError):  # a year that has no such date in UTC
        return None
    return None


def epochs_of(values: npt.NDArray[np.datetime64]) -> FloatArray:
    """Points in time of any unit as seconds since 1970, to the microsecond; NaN for NaT."""
    # Microseconds since 1970 fit a double, nanoseconds do not: whatever the unit, a moment gives the same number.
    epochs: FloatArray = (values.astype("M8[us]") - np.datetime64(0, "us")) / np.timedelta64(1, "s")
    return epochs


def text_of(value: Any) -> str | None:
    """`value` as a text; None when it is none."""
    return str(value) if isinstance(value, str) else None


def is_free_text(texts: Sequence[str]) -> bool:
    """Whether the strings of a column, or the first thousands of them, are texts rather than names of categories.

    They are when most are too long for a name (more than 128 characters); and when more than half of them differ and
    most have at least four words, be they as short as a tweet. Identifiers differ too, but have no words.
    """
    if 2 * sum(len(text) > NAME_LENGTH for text in texts) > len(texts):
        return True
    return 2 * len(set(texts)) > len(texts) < 2 * sum(_words(text) >= _WORDS_OF_TEXT for text in texts)


def embedding_of(value: Any) -> FloatArray | None:
    """`value` as a vector of doubles; None when it is no list, tuple or one-dimensional array of 2 to 65,536 numbers.

    A vector in which a number is missing or infinite is none either: its length and its products would be as unknown.
    """
    if isinstance(value, (list, tuple)):
        if not MIN_DIMENSIONS <= len(value) <= MAX_DIMENSIONS or hasattr(value, "_fields"):
            return None
        try:
            vector: FloatArray = np.frombuffer(array("d", value))  # refuses text and None, where numpy would not
        except (TypeError, ValueError, OverflowError):
            return None
    # Asked of the class: an instance may answer to any name.
    elif hasattr(type(value), "__array__") and getattr(value, "ndim", 0) == 1:
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "fiu" or not MIN_DIMENSIONS <= numbers.size <= MAX_DIMENSIONS:
            return None
        with np.errstate(over="ignore"):
            vector = numbers.astype(np.float64)
    else:
        return None
    return vector if np.isfinite(vector).all() else None


def kind_of_value(value: Any) -> FeatureKind:
    """How a value that is not missing is to be read; a string too long for a category is a text."""
    if isinstance(value, str):
        return FeatureKind.TEXT if len(value) > NAME_LENGTH else FeatureKind.CATEGORICAL
    kind = kind_of_type(type(value))
    if kind is FeatureKind.OPAQUE and embedding_of(value) is not None:
        return FeatureKind.EMBEDDING
    return kind


def kind_of_type(type_: type) -> FeatureKind:
    """How values of a Python type are to be read, as far as the type tells: a list is opaque until one looks inside."""
    if issubclass(type_, (bool, np.bool_)):
        return FeatureKind.BOOLEAN
    if issubclass(type_, str):
        return FeatureKind.CATEGORICAL
    if issubclass(type_, (date, np.datetime64)):  # a datetime is a date
        return FeatureKind.DATETIME
    is_number = issubclass(type_, Number) and not issubclass(type_, (complex, np.complexfloating))
    # NumPy registers its integers and floats as numbers, and counts durations among the integers.
    return FeatureKind.NUMERIC if is_number and not issubclass(type_, np.timedelta64) else FeatureKind.OPAQUE


def _epoch_of_text(text: str) -> float | None:
    matched = _ISO_8601.fullmatch(text)
    if matched is None:
        return None
    *numbers, fraction, sign, offset_hours, offset_minutes = matched.groups("0")
    try:
        year, month, day, hour, minute, second = map(int, numbers)
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:  # the 30th of February
        return None
    moment += timedelta(microseconds=int(fraction.ljust(6, "0")[:6]))
    offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
    return _seconds(moment - _EPOCH + (offset if sign == "-" else -offset))


def _seconds(duration: timedelta) -> float:
    """By the division that `epochs_of` does as well."""
    return float(duration // _MICROSECOND) / 1e6


def _words(text: str) -> int:
    """Words that white space separates, and characters of scripts that have a word a character, or nearly so."""
    return len(text.split()) + (0 if text.isascii() else sum(character >= _FIRST_IDEOGRAPH for character in text))
