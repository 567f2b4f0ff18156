"""What a value of a request means, by the rules that baselines are built with.

The slow path: batches whose values are all as expected never come here, one value at a time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from otel_ml.baseline import values as rules
from otel_ml.sketch.categories import NAME_LENGTH
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAMPLE: Final = 200


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
    value = _scalar(value)
    if isinstance(value, str) and len(value) > NAME_LENGTH:
        # Documents are nobody's category, and their words should not leave the process.
        return FeatureKind.OPAQUE
    return rules.kind_of_type(type(value))


def _scalar(value: Any) -> Any:
    """What is inside an array or tensor without dimensions."""
    # Asked of the class: an instance may answer to any name, or fail.
    if hasattr(type(value), "ndim") and hasattr(type(value), "item") and value.ndim == 0:
        return value.item()
    return value
