"""Columns in Arrow's format: tables in memory, Parquet and CSV. Imported only once such data is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa

from otel_ml.baseline.columns import STEP, Column, NumberBatch
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_MANY: Final = 1 << 20
"""Distinct values that are kept in Arrow's format."""

Array: TypeAlias = Any
"""A pyarrow.Array; the library has no types of its own to offer."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrowColumn:
    """A column that Arrow reads.

    Args:
        type: A pyarrow.DataType.
        chunks: Starts reading from the first row.
    """

    type: Any
    chunks: Callable[[], Iterable[Array]]

    @property
    def kind(self) -> FeatureKind:
        """As the column's type says."""
        types = pa.types
        if types.is_integer(self.type) or types.is_floating(self.type) or types.is_decimal(self.type):
            return FeatureKind.NUMERIC
        if types.is_boolean(self.type):
            return FeatureKind.BOOLEAN
        if types.is_dictionary(self.type) or str(self.type) in {"string", "large_string", "string_view"}:
            return FeatureKind.CATEGORICAL
        return FeatureKind.OPAQUE

    def numbers(self) -> Iterator[NumberBatch]:
        """Without a copy where nothing is missing."""
        for chunk in self._pieces():
            numbers = chunk.cast(pa.float64()) if pa.types.is_decimal(self.type) else chunk
            yield NumberBatch(numbers.to_numpy(zero_copy_only=False))

    def counts(self) -> Iterator[Mapping[Any, int]]:
        """Counted by Arrow, and turned into Python values only once there are many distinct ones."""
        distinct: list[tuple[Array, Array]] = []
        for chunk in self._pieces():
            counted = chunk.value_counts()
            values = counted.field("values")
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode()
            distinct.append((values, counted.field("counts")))
            if sum(len(values) for values, _ in distinct) > _MANY:
                distinct = [_summed(distinct)]
                if len(distinct[0][0]) > _MANY // 2:
                    yield _as_dict(*distinct.pop())
        if distinct:
            yield _as_dict(*_summed(distinct))

    def missing(self) -> int:
        """How many are null."""
        return sum(chunk.null_count for chunk in self.chunks())

    def _pieces(self) -> Iterator[Array]:
        for chunk in self.chunks():
            for start in range(0, len(chunk), STEP):
                yield chunk.slice(start, STEP)


def array_column(values: Any) -> Column:
    """A pyarrow Array or ChunkedArray as a column."""
    return ArrowColumn(values.type, lambda: values.chunks if hasattr(values, "chunks") else [values])


def _summed(parts: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Each distinct value once, with the sum of its counts."""
    values, counts = (pa.chunked_array(arrays) for arrays in zip(*parts, strict=True))
    # An unthreaded group-by keeps the order in which values first came.
    summed = pa.table({"value": values, "count": counts}).group_by("value", use_threads=False)
    table = summed.aggregate([("count", "sum")])
    return table.column("value").combine_chunks(), table.column("count_sum").combine_chunks()


def _as_dict(values: Array, counts: Array) -> dict[Any, int]:
    return dict(zip(values.to_pylist(), counts.to_pylist(), strict=True))
