"""What a value of a request means, by the rules that baselines are built with.

The slow path: batches whose values are all as expected never come here, one value at a time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.baseline import values as rules
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_ml.sketch.sketch import FloatArray

MOST_WORDS: Final = 12
"""Words of a category's name; a string of more is a text."""

_SAMPLE: Final = 200
_TEXTS_FROM: Final = 1_000
"""Distinct categories, beyond which those of some length are texts."""
_TEXT_LENGTH: Final = 32


def is_missing(value: Any) -> bool:
    """True for None, NaN, NaT and pandas.NA; a value that cannot even be asked is there, at least."""
    try:
        return rules.is_missing(value)
    except Exception:
        return False


def number_of(value: Any) -> float | None:
    """`value` as a double: NaN when missing, ±inf when beyond a double's range, None when it is no number."""
    try:
        return rules.number_of(_scalar(value))
    except Exception:
        return None


def boolean_of(value: Any) -> bool | None:
    """`value` as a truth value: True, False, 0 and 1; None when it is neither."""
    try:
        return rules.boolean_of(_scalar(value))
    except Exception:
        return None


def category_of(value: Any) -> str | None:
    """`value` as a category's name; None when it is of a kind that has none."""
    try:
        return rules.category_of(_scalar(value))
    except Exception:
        return None


def epoch_of(value: Any) -> float | None:
    """`value` as seconds since 1970, UTC; None when it is no point in time."""
    try:
        return rules.datetime_of(_scalar(value))
    except Exception:
        return None


def vector_of(value: Any) -> FloatArray | None:
    """`value` as a vector of finite doubles; None when it is none."""
    try:
        return rules.embedding_of(value)
    except Exception:
        return None


def reads_like_text(distinct: float, mean_length: float) -> bool:
    """Whether what was taken for categories is free text after all, by what an interval showed.

    A string of more than 128 characters or 12 words is a text at first sight. Shorter ones show by their number: more
    than 1,000 different ones, of more than 32 characters on average.
    """
    return distinct > _TEXTS_FROM and mean_length > _TEXT_LENGTH


def kind_of(values: Iterable[Any]) -> FeatureKind | None:
    """The kind most of the first values are of; None when all are missing."""
    votes: Counter[FeatureKind] = Counter()
    for position, value in enumerate(values):
        if position >= _SAMPLE and votes:
            break
        if not is_missing(value):
            votes[_kind_of_value(value)] += 1
    return votes.most_common(1)[0][0] if votes else None


def _kind_of_value(value: Any) -> FeatureKind:
    try:
        value = _scalar(value)
        if isinstance(value, str) and value.count(" ") >= MOST_WORDS and len(value.split()) > MOST_WORDS:
            return FeatureKind.TEXT
        return rules.kind_of_value(value)
    except Exception:  # of the user's own class
        return FeatureKind.OPAQUE


def _scalar(value: Any) -> Any:
    """What is inside an array or tensor without dimensions."""
    if isinstance(value, np.generic):
        return value
    if isinstance(value, np.ndarray):
        # Not item(), which makes bare integers of points in time.
        return value[()] if value.ndim == 0 else value
    # Asked of the class: an instance may answer to any name, or fail.
    if hasattr(type(value), "ndim") and hasattr(type(value), "item") and value.ndim == 0:
        return value.item()
    return value
