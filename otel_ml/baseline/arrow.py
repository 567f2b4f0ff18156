"""Columns in Arrow's format: tables in memory, Parquet and CSV. Imported only once such data is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute

from otel_ml.baseline.columns import STEP, Column, NumberBatch, Piece
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from otel_ml.sketch.sketch import CountArray, FloatArray

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
        if types.is_timestamp(self.type) or types.is_date(self.type):
            return FeatureKind.DATETIME
        return FeatureKind.EMBEDDING if _holds_vectors(self.type) else FeatureKind.OPAQUE

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

    def pieces(self) -> Iterator[Piece]:
        """Points in time and vectors as arrays; the latter only where none is missing and all are of one length."""
        kind = self.kind
        for chunk in self._pieces():
            if kind is FeatureKind.DATETIME:
                yield chunk.to_numpy(zero_copy_only=False)
            elif kind is FeatureKind.EMBEDDING:
                matrix = _matrix(chunk)
                yield chunk.to_pylist() if matrix is None else matrix
            else:
                yield (chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk).to_pylist()

    def coded(self) -> Iterator[tuple[Sequence[Any], CountArray]]:
        """All values, in order, as distinct ones and the place of each row's among them, (rows,), -1 for null."""
        for chunk in self._pieces():
            encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
            places = encoded.indices.cast(pa.int64()).fill_null(-1)
            yield encoded.dictionary.to_pylist(), places.to_numpy(zero_copy_only=False)

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


def _holds_vectors(type_: Any) -> bool:
    types = pa.types
    if not (types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_)):
        return False
    return bool(types.is_integer(type_.value_type) or types.is_floating(type_.value_type))


def _matrix(chunk: Array) -> FloatArray | None:
    """Lists of numbers as the rows of a matrix, unless one is missing or of another length."""
    if chunk.null_count:
        return None
    lengths = pa.compute.list_value_length(chunk).unique()
    if len(lengths) != 1:
        return None
    numbers: FloatArray = chunk.flatten().to_numpy(zero_copy_only=False)
    return numbers.reshape(len(chunk), lengths[0].as_py())


def _summed(parts: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Each distinct value once, with the sum of its counts."""
    values, counts = (pa.chunked_array(arrays) for arrays in zip(*parts, strict=True))
    # An unthreaded group-by keeps the order in which values first came.
    summed = pa.table({"value": values, "count": counts}).group_by("value", use_threads=False)
    table = summed.aggregate([("count", "sum")])
    return table.column("value").combine_chunks(), table.column("count_sum").combine_chunks()


def _as_dict(values: Array, counts: Array) -> dict[Any, int]:
    return dict(zip(values.to_pylist(), counts.to_pylist(), strict=True))
