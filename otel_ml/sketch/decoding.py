"""Reading a snapshot that may have been written by anybody.

Nothing is taken on trust: sizes come before allocation, and what is said twice must agree. Every failure is a
CorruptSnapshotError that names the place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

import numpy as np
from google.protobuf.message import DecodeError

from otel_ml.errors import CorruptSketchError, CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.proto.views import with_bytes
from otel_ml.sketch.binned_columns import BinnedColumns, packed
from otel_ml.sketch.bins import MAX_BINS, AnchoredBins, BinLayout
from otel_ml.sketch.calls_codec import read_calls
from otel_ml.sketch.column_decoding import Columns, Matrix, SummariesOnDemand, read_columns
from otel_ml.sketch.feature import FeatureKey, ModelKey
from otel_ml.sketch.feature_decoding import MAX_INTEGER, NAME_LENGTH, read_feature
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.numbers_decoding import BinRow, fail, read_counts
from otel_ml.sketch.packed_columns import Packed, read_packed_columns
from otel_ml.sketch.row_sample_codec import read_row_sample
from otel_ml.sketch.sketched_columns import SketchedColumns, packed_sketches
from otel_ml.sketch.sketched_decoding import Sketched, read_sketched
from otel_ml.sketch.snapshot import FORMAT_VERSION, PACKED_FORMAT_VERSION, Segment, Snapshot
from otel_ml.sketch.summary import FeatureSummary

ResultT = TypeVar("ResultT")

MAX_BYTES: Final = 1024 * 1024
MAX_FEATURES: Final = 10_000

_MAX_EXEMPLARS: Final = 40_000
"""Of all features together; so many genuine ones do not fit into the 512 KB that a sender splits at."""
DIGEST_LENGTH: Final = 128
_PRODUCER_ID_BYTES: Final = 16
_FEATURE_TAG: Final = 10 << 3 | 2
_MATRIX_TAG: Final = 11 << 3 | 2
_EDGES_TAG: Final = 15 << 3 | 2
_EXEMPLAR_TAG: Final = 16 << 3 | 2
_PACKED_TAG: Final = 16 << 3 | 2
_LONGEST_TAG: Final = 5
_ALIKE: Final = 4
"""Features that may be alike in kind: fewer are read as quickly one by one."""
_TOGETHER: Final = 16
"""Payloads that are taken apart at once: more hardly help, and what they become should fit into a core's cache."""


def _spellings(tag: int) -> Iterator[bytes]:
    """A tag as it may stand in a message: a varint may be longer than it needs to be."""
    digits = [tag & 127, tag >> 7] if tag > 127 else [tag]
    for length in range(len(digits), _LONGEST_TAG + 1):
        padded = [*digits, *[0] * (length - len(digits))]
        yield bytes([digit | 128 for digit in padded[:-1]] + padded[-1:])


# Of the repeated messages, each of which takes 2 bytes on the wire and 150 when parsed.
_SUSPICIOUS: Final = tuple(
    spelling for tag in (_FEATURE_TAG, _MATRIX_TAG, _EDGES_TAG, _EXEMPLAR_TAG) for spelling in _spellings(tag)
)
_FIRST_BYTES: Final = bytes({spelling[0] for spelling in _SUSPICIOUS})
# Features stay bytes until it is known how to read them, what columns are, as it may be known already, and calls until
# it is known how many bytes they are.
_Snapshot: Final = with_bytes(
    pb.DESCRIPTOR,
    "otel_ml.unread",
    "Snapshot",
    {("Snapshot", "features"), ("Snapshot", "calls"), ("PackedColumns", "head")},
)


def decode(payload: bytes) -> Snapshot:
    """The snapshot in a payload of at most 1 MiB. Fields unknown to this version are ignored.

    Raises:
        CorruptSnapshotError: The payload is not a snapshot, or contradicts itself.
    """
    message = _parse(payload)
    return _snapshot(message, read_packed_columns(message.packed_columns))


def decode_all(payloads: Sequence[bytes]) -> list[Snapshot | CorruptSnapshotError]:
    """As `decode`, for each payload its snapshot or what is wrong with it; many at once take less time each."""
    found: list[Snapshot | CorruptSnapshotError] = []
    for start in range(0, len(payloads), _TOGETHER):
        found += _decode_together(payloads[start : start + _TOGETHER])
    return found


def _decode_together(payloads: Sequence[bytes]) -> list[Snapshot | CorruptSnapshotError]:
    messages = [_or_error(_parse, payload) for payload in payloads]
    parts = [() if isinstance(one, CorruptSnapshotError) else one.packed_columns for one in messages]
    read = iter(read_packed_columns([part for of_one in parts for part in of_one]))
    return [
        message
        if isinstance(message, CorruptSnapshotError)
        else _or_error(_snapshot, message, [*islice(read, len(own))])
        for message, own in zip(messages, parts, strict=True)
    ]


def _or_error(step: Callable[..., ResultT], *arguments: Any) -> ResultT | CorruptSnapshotError:
    try:
        return step(*arguments)
    except CorruptSnapshotError as error:
        return error


def _parse(payload: bytes) -> Any:
    """The message, whose header is as it should be."""
    if len(payload) > MAX_BYTES:
        _refuse(f"{len(payload)} bytes (at most {MAX_BYTES})")
    # Such a field takes two bytes; and hardly a genuine snapshot has so many bytes that look like the beginning of one,
    # or like all of its tag, so that only suspects are counted properly.
    if (
        len(payload) > 2 * MAX_FEATURES
        and len(payload) - len(payload.translate(None, _FIRST_BYTES)) > MAX_FEATURES
        and sum(map(payload.count, _SUSPICIOUS)) > MAX_FEATURES
        and _is_swollen(payload)
    ):
        _refuse(f"more fields than {MAX_FEATURES} features can have")
    try:
        message = _Snapshot.FromString(payload)
    except DecodeError:
        _refuse(f"{len(payload)} bytes are no otel_ml.v1.Snapshot")
    _check_header(message)
    return message


def _snapshot(message: Any, packed_parts: Sequence[Packed | CorruptSnapshotError]) -> Snapshot:
    matrices = [
        _matrix(matrix, f"bin_matrices[{place}]", len(message.features))
        for place, matrix in enumerate(message.bin_matrices)
    ]
    columns = _placed(packed_parts, len(message.features))
    if message.features:
        columns = _with_features(columns, message, matrices)
    features = SummariesOnDemand(columns.blocks, columns.others) if columns.blocks else list(columns.others.values())
    if not columns.are_different:
        _check_unique(list(features))
    return Snapshot(
        producer_id=message.producer_id,
        sequence=message.sequence,
        model=ModelKey(message.model_name, message.model_version),
        start_time_unix_nano=message.start_time_unix_nano,
        end_time_unix_nano=message.end_time_unix_nano,
        rows=message.rows,
        dropped_rows=message.dropped_rows,
        features=features,
        segment=Segment(message.segment.dimension, message.segment.value) if message.HasField("segment") else None,
        packages_digest=message.packages_digest,
        row_sample=read_row_sample(message.row_sample) if message.HasField("row_sample") else None,
        calls=read_calls(message.calls) if message.calls else None,
        binned=columns.binned,
        sketched=columns.sketched,
        unbinned=columns.unbinned,
    )


class _Columns(NamedTuple):
    """All columns of a snapshot.

    Attributes:
        keys: Of those that are packed.
        are_different: None is there twice, as far as was found without looking at each.
        blocks: Those that came as matrices, with the place of each.
        others: The other ones by place.
        binned: As in `Snapshot`, and the following likewise.
    """

    keys: frozenset[FeatureKey]
    are_different: bool
    blocks: Sequence[tuple[BinnedColumns | SketchedColumns, Sequence[int]]]
    others: dict[int, FeatureSummary]
    binned: Sequence[BinnedColumns]
    sketched: Sequence[SketchedColumns]
    unbinned: Sequence[FeatureSummary]


def _with_features(columns: _Columns, message: Any, matrices: Sequence[Matrix]) -> _Columns:
    """The packed columns, and the features behind them."""
    ahead = sum(len(places) for _, places in columns.blocks)
    binned, sketched = Columns(), Sketched()
    if len(message.features) >= _ALIKE:
        binned = read_columns(message.features, () if message.edges else matrices)
        sketched = read_sketched(message.features, {index for matrix in matrices for index in matrix.indexes})
    others = _others(message, matrices, binned.places | sketched.places)
    more_binned, unpacked = packed(others.values())
    more_sketched, unbinned = packed_sketches(unpacked)
    keys = {summary.key for summary in others.values()} | binned.keys | sketched.keys
    blocks: list[tuple[BinnedColumns | SketchedColumns, Sequence[int]]] = [*binned.blocks, *sketched.blocks]
    return _Columns(
        columns.keys,
        columns.are_different and len(keys) == len(message.features) and columns.keys.isdisjoint(keys),
        [*columns.blocks, *[(block, [ahead + place for place in places]) for block, places in blocks]],
        {ahead + place: summary for place, summary in others.items()},
        [*columns.binned, *(block for block, _ in binned.blocks), *more_binned],
        [*(block for block, _ in sketched.blocks), *more_sketched],
        unbinned,
    )


def _refuse(what: str) -> NoReturn:
    raise CorruptSnapshotError(f"snapshot: {what}")


def _check_header(message: Any) -> None:
    start, end = message.start_time_unix_nano, message.end_time_unix_nano
    if message.format_version not in (FORMAT_VERSION, PACKED_FORMAT_VERSION):
        known = f"{FORMAT_VERSION} and {PACKED_FORMAT_VERSION}"
        _refuse(f"format_version {message.format_version} (this reader knows {known})")
    if message.format_version == FORMAT_VERSION and message.packed_columns:
        _refuse(f"packed columns in format_version {FORMAT_VERSION} (they need {PACKED_FORMAT_VERSION})")
    if len(message.producer_id) != _PRODUCER_ID_BYTES:
        _refuse(f"producer_id of {len(message.producer_id)} bytes ({_PRODUCER_ID_BYTES})")
    if not 1 <= message.sequence <= MAX_INTEGER:
        _refuse(f"sequence {message.sequence} (1 to {MAX_INTEGER})")
    if not start < end <= MAX_INTEGER:
        _refuse(f"interval from {start} to {end} (must end after its start, before 2^63)")
    if max(len(message.model_name), len(message.model_version)) > NAME_LENGTH:
        _refuse(f"model name or version of more than {NAME_LENGTH} characters")
    if message.HasField("segment"):
        if not message.segment.dimension:
            _refuse("segment: has no dimension")
        if max(len(message.segment.dimension), len(message.segment.value)) > NAME_LENGTH:
            _refuse(f"segment: dimension or value of more than {NAME_LENGTH} characters")
    if len(message.packages_digest) > DIGEST_LENGTH:
        _refuse(f"packages_digest of {len(message.packages_digest)} characters (at most {DIGEST_LENGTH})")
    if max(message.rows, message.dropped_rows) > MAX_COUNT:
        _refuse(f"rows {message.rows}, dropped_rows {message.dropped_rows} (at most {MAX_COUNT})")
    if len(message.features) > MAX_FEATURES:
        _refuse(f"{len(message.features)} features (at most {MAX_FEATURES})")


def _placed(parts: Sequence[Packed | CorruptSnapshotError], others: int) -> _Columns:
    """The packed columns with their places, ahead of the `others`."""
    blocks: list[tuple[BinnedColumns, Sequence[int]]] = []
    keys: frozenset[FeatureKey] = frozenset()
    end = 0
    for place, part in enumerate(parts):
        if isinstance(part, CorruptSnapshotError):
            raise CorruptSnapshotError(f"packed_columns[{place}]: {part}") from part
        block, distinct = part
        start, end = end, end + len(block.keys)
        if others + end > MAX_FEATURES:
            _refuse(f"{others + end} or more columns (at most {MAX_FEATURES})")
        blocks.append((block, range(start, end)))
        keys = keys | distinct if keys else distinct
    return _Columns(keys, len(keys) == end, blocks, {}, [block for block, _ in blocks], [], [])


def _check_unique(features: list[FeatureSummary]) -> None:
    seen: dict[FeatureKey, int] = {}
    for index, feature in enumerate(features):
        first = seen.setdefault(feature.key, index)
        if first != index:
            fail(f"features[{index}] {feature.key.name!r}: is there already as features[{first}]")


def _others(message: Any, matrices: Sequence[Matrix], done: Container[int]) -> dict[int, FeatureSummary]:
    """The features that were not read yet, by place."""
    bins = _bin_rows(message, matrices, done)
    features: dict[int, FeatureSummary] = {}
    for place, encoded in enumerate(message.features):
        if place in done:
            continue
        try:
            feature = pb.Feature.FromString(encoded)
        except DecodeError:
            fail(f"features[{place}]: {len(encoded)} bytes are no otel_ml.v1.Feature")
        try:
            features[place] = read_feature(feature, bins.get(place, ()))
        except (CorruptSnapshotError, CorruptSketchError) as error:
            raise CorruptSnapshotError(f"features[{place}] {feature.name[:NAME_LENGTH]!r}: {error}") from error
    return features


def _bin_rows(message: Any, matrices: Sequence[Matrix], done: Container[int]) -> dict[int, list[BinRow]]:
    """The rows of all bin matrices, by the position of the feature they belong to, but of those that are done."""
    rows: dict[int, list[BinRow]] = defaultdict(list)
    layouts = {layout.hash: layout for layout in map(_layout, message.edges)}
    for place, matrix in enumerate(matrices):
        bins = matrix.counts.shape[1]
        for index, edges_hash, row, held in zip(*matrix, matrix.held.tolist(), strict=True):
            if index in done:
                continue
            if any(other.edges_hash == edges_hash for other, _ in rows[index]):
                fail(f"bin_matrices[{place}]: feature index {index} comes twice with the same edges")
            layout = layouts.get(edges_hash)
            if layout is not None and layout.bins != bins:
                fail(f"bin_matrices[{place}]: {bins} bins, where their edges cut {layout.bins}")
            rows[index].append((AnchoredBins(edges_hash, row, layout), held))
    return rows


def _layout(message: pb.Edges) -> BinLayout:
    if not 1 <= len(message.values) < MAX_BINS:
        fail(f"edges: {len(message.values)} values (1 to {MAX_BINS - 1})")
    try:
        return BinLayout(np.array(message.values, np.float64))
    except ValueError as error:
        raise CorruptSnapshotError(str(error)) from None


def _matrix(message: Any, subject: str, features: int) -> Matrix:
    bins, indexes, hashes = message.bins, list(message.feature_indexes), list(message.edges_hashes)
    if not 2 <= bins <= MAX_BINS:
        fail(f"{subject}: {bins} bins (2 to {MAX_BINS})")
    if len(hashes) != len(indexes) or len(message.counts) != bins * len(indexes):
        fail(f"{subject}: {len(indexes)} indexes, {len(hashes)} hashes, {len(message.counts)} counts of {bins} bins")
    if max(indexes, default=-1) >= features:
        fail(f"{subject}: feature index {max(indexes)} of {features} features")
    return Matrix(indexes, hashes, read_counts(message.counts, subject).reshape(-1, bins))


def _is_swollen(payload: bytes) -> bool:
    """Whether the message has too many fields, or its features too many exemplars, or it is not well formed."""
    fields = exemplars = 0
    try:
        for tag, start, end in _fields(payload, 0, len(payload)):
            fields += 1
            if tag in (_FEATURE_TAG, _PACKED_TAG):
                exemplars += sum(inner == _EXEMPLAR_TAG for inner, _, _ in _fields(payload, start, end))
            if fields > 2 * MAX_FEATURES or exemplars > _MAX_EXEMPLARS:
                return True
    except LookupError:
        return True
    return False


def _fields(payload: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Tag, start and end of each field of a message."""
    while position < end:
        tag, position = _varint(payload, position)
        wire_type, start = tag & 7, position
        if wire_type == 0:
            _, position = _varint(payload, position)
        elif wire_type == 2:
            length, start = _varint(payload, position)
            position = start + length
        else:
            position += {1: 8, 5: 4}[wire_type]
        yield tag, start, position


def _varint(payload: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = payload[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise LookupError(position)
