"""Columns that can be read as often as needed, piece by piece, whichever library holds them."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from otel_ml.baseline.values import is_missing, kind_of_type, kind_of_value, number_of
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otel_ml.sketch.sketch import FloatArray

STEP: Final = 1 << 18
"""Rows of a column that are read in one go."""

NumberArray: TypeAlias = npt.NDArray[np.number[Any]]
Piece: TypeAlias = "Sequence[Any] | npt.NDArray[Any]"
"""Values of some consecutive rows: Python objects, points in time (rows,), or vectors (rows, dimensions)."""


class NumberBatch(NamedTuple):
    """Values of some consecutive rows.

    Attributes:
        values: (rows,) numbers; NaN where there was none.
        mismatched: How many of the NaNs stand for values that are there, but are no numbers.
    """

    values: NumberArray
    mismatched: int = 0


class Column(Protocol):
    """One column of a training set."""

    @property
    def kind(self) -> FeatureKind:
        """How the column's values are read unless the user says otherwise."""
        ...

    def numbers(self) -> Iterator[NumberBatch]:
        """All values as numbers, in order."""
        ...

    def counts(self) -> Iterator[Mapping[Any, int]]:
        """How often each Python value occurs, missing ones included, in some consecutive rows after the other."""
        ...

    def pieces(self) -> Iterator[Piece]:
        """All values, in order, as they are kept: what is neither number nor category is read from these."""
        ...

    def missing(self) -> int:
        """How many values are missing."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NumberColumn:
    """Numbers, or truth values, that fit into a one-dimensional array.

    Args:
        kind: NUMERIC or BOOLEAN.
        read: Gives the array, which may be a copy and is not kept.
    """

    kind: FeatureKind
    read: Callable[[], npt.NDArray[Any]]

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> NumberColumn:
        """A column of what is an array already."""
        return cls(FeatureKind.BOOLEAN if values.dtype.kind == "b" else FeatureKind.NUMERIC, lambda: values)

    def numbers(self) -> Iterator[NumberBatch]:
        """Slices of the array."""
        values = self.read()
        for start in range(0, len(values), STEP):
            yield NumberBatch(values[start : start + STEP])

    def counts(self) -> Iterator[Mapping[Any, int]]:
        """Counted slice by slice."""
        values = self.read()
        if values.dtype.kind == "b":
            true = int(np.count_nonzero(values))
            yield {False: len(values) - true, True: true}
            return
        for start in range(0, len(values), STEP):
            distinct, counts = np.unique(values[start : start + STEP], return_counts=True)
            yield dict(zip(distinct.tolist(), counts.tolist(), strict=True))

    def pieces(self) -> Iterator[Piece]:
        """As Python numbers."""
        values = self.read()
        for start in range(0, len(values), STEP):
            yield values[start : start + STEP].tolist()

    def missing(self) -> int:
        """How many are NaN."""
        values = self.read()
        return int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0


@dataclass(frozen=True, slots=True, eq=False)
class ObjectColumn:
    """Python objects of any type, such as strings.

    Args:
        length: How many there are.
        read: Gives those from a first to, but not including, a last position.
        declared: The kind, where the type of the column says it; otherwise most values decide.
        count: Counts all values, where the library that holds them does it faster than Python.
    """

    length: int
    read: Callable[[int, int], Sequence[Any]]
    declared: FeatureKind | None = None
    count: Callable[[], Mapping[Any, int]] | None = None
    _inferred: list[FeatureKind] = field(default_factory=list, init=False)

    @property
    def kind(self) -> FeatureKind:
        """The kind most of the values are of."""
        if self.declared is not None:
            return self.declared
        if not self._inferred:
            self._inferred.append(self._infer())
        return self._inferred[0]

    def numbers(self) -> Iterator[NumberBatch]:
        """Converted, one by one where need be."""
        return map(_numbers, self._slices())

    def counts(self) -> Iterator[Mapping[Any, int]]:
        """Counted at once, or slice by slice."""
        return map(_counts, self._slices()) if self.count is None else iter((self.count(),))

    def pieces(self) -> Iterator[Piece]:
        """The objects."""
        return self._slices()

    def missing(self) -> int:
        """How many are None, NaN, NaT or NA."""
        return sum(sum(map(is_missing, values)) for values in self._slices())

    def _slices(self) -> Iterator[Sequence[Any]]:
        for start in range(0, self.length, STEP):
            yield self.read(start, min(start + STEP, self.length))

    def _infer(self) -> FeatureKind:
        votes: Counter[FeatureKind] = Counter()
        for values in self._slices():
            for type_, count in Counter(map(type, values)).items():
                present = count
                if issubclass(type_, (list, tuple, np.ndarray)):  # a vector, perhaps
                    votes.update(kind_of_value(value) for value in values if type(value) is type_)
                    continue
                if type_ is type(None) or issubclass(type_, (float, np.generic)) or kind_of_type(type_) in _CAN_MISS:
                    present -= sum(type(value) is type_ and is_missing(value) for value in values)
                if present:
                    votes[kind_of_type(type_)] += present
        return votes.most_common(1)[0][0] if votes else FeatureKind.OPAQUE


@dataclass(frozen=True, slots=True, eq=False)
class ArrayColumn:
    """Points in time, or vectors, in one array.

    Args:
        kind: DATETIME or EMBEDDING.
        read: Gives the array, of datetime64 or two-dimensional; it may be a copy and is not kept.
    """

    kind: FeatureKind
    read: Callable[[], npt.NDArray[Any]]

    def numbers(self) -> Iterator[NumberBatch]:
        """Nothing: there are no single numbers."""
        return iter(())

    def counts(self) -> Iterator[Mapping[Any, int]]:
        """Nothing: there are no categories."""
        return iter(())

    def pieces(self) -> Iterator[Piece]:
        """Slices of the array."""
        values = self.read()
        step = STEP if values.ndim == 1 else max(1, STEP // max(1, values.shape[1]))
        for start in range(0, len(values), step):
            yield values[start : start + step]

    def missing(self) -> int:
        """How many are NaT."""
        values = self.read()
        return int(np.isnat(values).sum()) if values.ndim == 1 else 0


@dataclass(frozen=True, slots=True, eq=False)
class UnreadColumn:
    """A column of a type that is not summarised, such as durations; only its gaps are counted.

    Args:
        count_missing: Counts the gaps.
    """

    count_missing: Callable[[], int]

    @property
    def kind(self) -> FeatureKind:
        """Opaque."""
        return FeatureKind.OPAQUE

    def numbers(self) -> Iterator[NumberBatch]:
        """Nothing."""
        return iter(())

    def counts(self) -> Iterator[Mapping[Any, int]]:
        """Nothing."""
        return iter(())

    def pieces(self) -> Iterator[Piece]:
        """Nothing."""
        return iter(())

    def missing(self) -> int:
        """How many values are missing."""
        return self.count_missing()


# NA belongs to a type that is opaque itself, and NaT is an instance of datetime.
_CAN_MISS: Final = frozenset((FeatureKind.OPAQUE, FeatureKind.DATETIME))


def _numbers(values: Sequence[Any]) -> NumberBatch:
    try:
        # `array` refuses text, where numpy would read "12" as 12.
        packed: FloatArray = np.frombuffer(array("d", [math.nan if value is None else value for value in values]))
    except (TypeError, ValueError, OverflowError):
        read = [number_of(value) for value in values]
        numbers = np.array([math.nan if number is None else number for number in read])
        return NumberBatch(numbers, sum(number is None for number in read))
    return NumberBatch(packed)


def _counts(values: Sequence[Any]) -> Mapping[Any, int]:
    try:
        return Counter(values)
    except TypeError:
        return Counter(value if _is_hashable(value) else _Unhashable for value in values)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


class _Unhashable:
    """Stands for lists and the like, which are no category."""
