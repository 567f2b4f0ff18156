"""Reading the columns that are nothing but counts in bins all at once, which is fifty times as fast as one by one.

The bytes of many messages joined are, to protobuf, one message that says everything many times. Read by a schema in
which every field is repeated, they come out as columns. This is for what well-behaved senders send; whatever is unusual
in any way is left to the reader of single features, who accepts it or says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Final, NamedTuple, overload

import numpy as np
from google.protobuf.message import DecodeError

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.proto.views import views
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.column_heads import read_counter_columns, read_keys, read_moment_columns
from otel_ml.sketch.exemplar import Exemplar
from otel_ml.sketch.feature import FeatureKey
from otel_ml.sketch.feature_decoding import read_exemplars
from otel_ml.sketch.moment_columns import MomentColumns
from otel_ml.sketch.sketch import CountArray
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.summary import FeatureSummary

_EXEMPLARS: Final = 16
_PLAIN_FIELDS: Final = ("names", "roles", "kinds", "counters", "moments")
_VIEWS: Final = views(
    "otel_ml.columns",
    {
        "Features": {
            "names": (1, "bytes"),
            "roles": (2, "uint64"),
            "kinds": (3, "uint64"),
            "counters": (4, "bytes"),
            "moments": (5, "bytes"),
            **{f"field_{number}": (number, "bytes") for number in range(6, _EXEMPLARS)},
            "exemplars": (_EXEMPLARS, "bytes"),
        },
    },
)
_FRAME: Final = 10
"""Bytes of a feature's five fields beside its name, counters and moments, where each of these is below 128 bytes."""
_SHORT: Final = 128


class Matrix(NamedTuple):
    """The rows of a bin matrix, of sizes that fit together.

    Attributes:
        indexes: Of the features that they belong to.
        counts: (rows, bins) none too large.
    """

    indexes: list[int]
    edges_hashes: list[int]
    counts: CountArray

    @property
    def held(self) -> CountArray:
        """(rows,) how many values were counted."""
        totals: CountArray = self.counts.sum(axis=1)
        return totals

    def of(self, places: Container[int]) -> Matrix:
        """The rows of some features."""
        rows = [row for row, index in enumerate(self.indexes) if index in places]
        if len(rows) == len(self.indexes):
            return self
        return Matrix([self.indexes[row] for row in rows], [self.edges_hashes[row] for row in rows], self.counts[rows])


class Columns(NamedTuple):
    """What was read.

    Attributes:
        blocks: With the places of their features in the snapshot.
        places: Of all of them.
        keys: Likewise.
    """

    blocks: Sequence[tuple[BinnedColumns, Sequence[int]]] = ()
    places: frozenset[int] = frozenset()
    keys: frozenset[FeatureKey] = frozenset()


class SummariesOnDemand(Sequence[FeatureSummary]):
    """The features of a snapshot in their order, taken out of matrices when somebody asks for them.

    Args:
        blocks: Columns, and the place of each.
        others: The other features by place.
    """

    def __init__(
        self,
        blocks: Sequence[tuple[BinnedColumns | SketchedColumns, Sequence[int]]],
        others: dict[int, FeatureSummary],
    ) -> None:
        # Blocks may grow: what they hold now is what counts.
        self._blocks = [(block.copy(), places) for block, places in blocks]
        self._others = others
        self._length = len(others) + sum([len(places) for _, places in blocks])
        self._summaries: list[FeatureSummary] | None = None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> FeatureSummary: ...
    @overload
    def __getitem__(self, index: slice) -> list[FeatureSummary]: ...
    def __getitem__(self, index: int | slice) -> FeatureSummary | list[FeatureSummary]:
        return self._all()[index]

    def __iter__(self) -> Iterator[FeatureSummary]:
        return iter(self._all())

    def _all(self) -> list[FeatureSummary]:
        if self._summaries is None:
            by_place = dict(self._others)
            for block, places in self._blocks:
                by_place.update(zip(places, block.summaries(), strict=True))
            self._summaries = [by_place[place] for place in range(self._length)]
        return self._summaries


def read_columns(features: Sequence[bytes], matrices: Sequence[Matrix]) -> Columns:
    """The features that are nothing but bins; none where there is anything unusual about them."""
    places = [index for matrix in matrices for index in matrix.indexes]
    is_usual = len({matrix.counts.shape[1] for matrix in matrices}) == len(matrices) and all(
        matrix.indexes == sorted(matrix.indexes) for matrix in matrices
    )
    if not places or not is_usual or len(set(places)) < len(places):
        return Columns()
    try:
        found = _read(features, places, matrices)
        if found is None:
            # Of texts and of vectors there are bins as well, beside more.
            plain = {place for place in places if _is_plain(features[place])}
            if 0 < len(plain) < len(places):
                matrices = [part for matrix in matrices if (part := matrix.of(plain)).indexes]
                found = _read(features, [index for matrix in matrices for index in matrix.indexes], matrices)
    except (DecodeError, CorruptSnapshotError):
        return Columns()
    if found is None:
        return Columns()
    keys, distinct, counters, moments, exemplars = found
    blocks: list[tuple[BinnedColumns, Sequence[int]]] = []
    start = 0
    for indexes, edges_hashes, counts in matrices:
        end = start + len(indexes)
        block = BinnedColumns(
            keys[start:end],
            tuple(edges_hashes),
            counts,
            counters[start:end],
            moments.mean[start:end],
            moments.m2[start:end],
            moments.minimum[start:end],
            moments.maximum[start:end],
            {place - start: of_one for place, of_one in exemplars.items() if start <= place < end},
        )
        blocks.append((block, indexes))
        start = end
    # As they come when features are read one by one.
    blocks.sort(key=lambda pair: pair[1][0])
    return Columns(blocks, frozenset(index for _, indexes in blocks for index in indexes), distinct)


def _is_plain(feature: bytes) -> bool:
    fields = {field.number for field, _ in pb.Feature.FromString(feature).ListFields()}
    return fields <= {1, 2, 3, 4, 5, _EXEMPLARS}


def _read(
    features: Sequence[bytes], places: Sequence[int], matrices: Sequence[Matrix]
) -> tuple[tuple[FeatureKey, ...], frozenset[FeatureKey], CountArray, MomentColumns, dict[int, list[Exemplar]]] | None:
    """Keys, counters, moments and exemplars of numeric features that these bins are all of; None for any other."""
    rows = [features[place] for place in places]
    held = np.concatenate([matrix.held for matrix in matrices])
    columns = _VIEWS["Features"].FromString(b"".join(rows))
    names, counters, moments = list(columns.names), list(columns.counters), list(columns.moments)
    # What is left of each feature tells where fields belong: none is there twice in one and lacking in another. (Two
    # of the same length may be; such a sender has only itself to blame for whose they are taken to be.)
    surplus = [
        len(row) - len(name) - len(of_row) - len(of_values)
        for row, name, of_row, of_values in zip(rows, names, counters, moments, strict=False)
    ]
    size = len(rows)
    if (
        not (len(names) == len(counters) == len(moments) == len(columns.roles) == len(columns.kinds) == size)
        or any(field.name not in _PLAIN_FIELDS and field.number < _EXEMPLARS for field, _ in columns.ListFields())
        or max(map(len, names)) >= _SHORT
        or set(columns.kinds) != {pb.KIND_NUMERIC}
    ):
        return None
    keys, distinct = read_keys(tuple(names), tuple(columns.roles))
    counted, valid = read_counter_columns(counters)
    read = read_moment_columns(moments, valid)
    if len(distinct) < size or read is None or (held != valid).any():
        return None
    exemplars: dict[int, list[Exemplar]] = {}
    for place, more in enumerate(surplus):
        if more != _FRAME:
            feature = pb.Feature.FromString(rows[place])
            if [field.number for field, _ in feature.ListFields()] != [1, 2, 3, 4, 5, _EXEMPLARS]:
                return None
            exemplars[place] = read_exemplars(feature.exemplars)
    if bool(exemplars) != bool(columns.exemplars):
        return None
    return keys, distinct, counted, read, {place: kept for place, kept in exemplars.items() if kept}
