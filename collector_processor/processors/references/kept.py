"""A closed window as bytes: a tenth of the memory that its summaries take as objects, and ready to be stored."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from collector_processor.processors.windows import Window
from otel_ml.errors import CorruptSnapshotError, IncompatibleSketchError
from otel_ml.sketch import codec
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import FeatureSummary

BlockT = TypeVar("BlockT", BinnedColumns, SketchedColumns)

# A merged window is encoded as a snapshot to ourselves, which has to have a producer.
_PRODUCER: Final = bytes(16)
_LENGTH_BYTES: Final = 4
# What a window takes in memory beside its bytes, about.
_OVERHEAD: Final = 400
_LARGEST: Final = 1 << 62
_NUMBERS: Final = ("start_unix_nano", "end_unix_nano", "rows", "windows", "covered")


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """What is kept of one window, or of several that were merged.

    Attributes:
        start_unix_nano: Of the time that it stands for.
        end_unix_nano: Likewise, exclusive.
        rows: Rows in it.
        windows: Windows that were merged into it.
        covered: How much of the time these windows were, in nanoseconds.
        drifted: Columns that drifted in it: no example to the next day.
        payload: The summaries.
    """

    start_unix_nano: int
    end_unix_nano: int
    rows: int
    windows: int
    covered: int
    drifted: frozenset[FeatureKey]
    payload: bytes

    @property
    def size(self) -> int:
        """How much memory it takes, in bytes, about."""
        return len(self.payload) + _OVERHEAD

    @classmethod
    def of(cls, window: Window) -> KeptWindow:
        """The summaries of a window, without their exemplars; the window stays as it is."""
        length = window.end_unix_nano - window.start_unix_nano
        payload = _encode_parts(window.parts)
        return cls(
            window.start_unix_nano, window.end_unix_nano, window.rows, 1, length, drifted=frozenset(), payload=payload
        )

    def parts(self) -> list[FeatureSummary]:
        """The summaries, decoded for the caller alone.

        Raises:
            CorruptSnapshotError: The payload is not what `of` made.
        """
        return [part for snapshot in self.snapshots() for part in snapshot.features]

    def snapshots(self) -> list[Snapshot]:
        """The same as snapshots, one for each kind of column or more, of no time and no model.

        Raises:
            CorruptSnapshotError: The payload is not what `of` made.
        """
        try:
            return [codec.decode(piece) for piece in _pieces(zlib.decompress(self.payload))]
        except zlib.error as error:
            raise CorruptSnapshotError(f"kept window: {error}") from error

    def encode(self) -> bytes:
        """The bytes that `decode` reads."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        header = {**numbers, "drifted": sorted((key.role.value, key.name) for key in self.drifted)}
        return json.dumps(header).encode() + b"\n" + self.payload

    @classmethod
    def decode(cls, encoded: bytes) -> KeptWindow:
        """The window that was encoded, its payload unread.

        Raises:
            ValueError: These are other bytes.
        """
        header, separator, payload = encoded.partition(b"\n")
        fields: Any = json.loads(header)
        try:
            numbers: list[Any] = [fields[name] for name in _NUMBERS]
            drifted = frozenset(FeatureKey(FeatureRole(role), str(name)) for role, name in fields["drifted"])
        except (KeyError, TypeError) as error:
            raise ValueError("no kept window") from error
        if not separator or not all(type(number) is int and 0 <= number < _LARGEST for number in numbers):
            raise ValueError("no kept window")
        start, end, rows, windows, covered = numbers
        if not start < end:
            raise ValueError("no kept window")
        return cls(start, end, rows, windows, covered, drifted, payload)

    def marked(self, drifted: Iterable[FeatureKey]) -> KeptWindow:
        """The same, with columns that drifted in it."""
        return replace(self, drifted=self.drifted.union(drifted))


@dataclass(slots=True)
class Merged:
    """Several kept windows together.

    Attributes:
        drifted: Columns that drifted in one of them.
        corrupt: Those that could not be read and are not in it.
        incompatible: Summaries of columns that could not be added to those of earlier windows.
    """

    rows: int = 0
    windows: int = 0
    covered: int = 0
    drifted: frozenset[FeatureKey] = frozenset()
    parts: dict[tuple[FeatureKey, FeatureKind], FeatureSummary] = field(default_factory=dict)
    corrupt: list[KeptWindow] = field(default_factory=list)
    incompatible: int = 0

    def kept(self, start_unix_nano: int, end_unix_nano: int) -> KeptWindow:
        """The same, encoded, standing for this time."""
        payload = _encode_parts(self.parts)
        return KeptWindow(
            start_unix_nano, end_unix_nano, self.rows, self.windows, self.covered, drifted=self.drifted, payload=payload
        )

    def add(self, part: FeatureSummary) -> None:
        """Add a column that was decoded for this alone."""
        known = self.parts.setdefault((part.key, part.kind), part)
        if known is not part:
            try:
                known.merge(part)
            except IncompatibleSketchError:
                self.incompatible += 1


def merge(windows: Iterable[KeptWindow]) -> Merged:
    """Windows together, oldest first."""
    merged = Merged()
    binned: list[BinnedColumns] = []
    sketched: list[SketchedColumns] = []
    for window in windows:
        try:
            snapshots = window.snapshots()
        except CorruptSnapshotError:
            merged.corrupt.append(window)
            continue
        merged.rows += window.rows
        merged.windows += window.windows
        merged.covered += window.covered
        merged.drifted |= window.drifted
        for snapshot in snapshots:
            _add_blocks(binned, snapshot.binned)
            _add_blocks(sketched, snapshot.sketched)
            for part in snapshot.features if snapshot.unbinned is None else snapshot.unbinned:
                merged.add(part)
    blocks: list[BinnedColumns | SketchedColumns] = [*binned, *sketched]
    for block in blocks:
        for part in block.summaries():
            merged.add(part)
    return merged


def _add_blocks(present: list[BlockT], blocks: Iterable[BlockT]) -> None:
    for block in blocks:
        same = next((known for known in present if known.identity == block.identity), None)
        if same is None:
            present.append(block)
        else:
            same.merge(block)


def _encode_parts(parts: Mapping[tuple[FeatureKey, FeatureKind], FeatureSummary]) -> bytes:
    """Snapshots one after the other, one for each kind, for a column may have been read as several."""
    by_kind: dict[FeatureKind, list[FeatureSummary]] = {}
    for (_, kind), part in parts.items():
        by_kind.setdefault(kind, []).append(replace(part, exemplars=[]))
    encoded = []
    for same in by_kind.values():
        for piece in codec.split(Snapshot(_PRODUCER, 1, ModelKey(""), 0, 1, 0, 0, same), lambda: 1):
            payload = codec.encode(piece)
            encoded += [len(payload).to_bytes(_LENGTH_BYTES, "big"), payload]
    # The fastest level: it takes a quarter off counts in bins, and no level does much to quantiles.
    return zlib.compress(b"".join(encoded), 1)


def _pieces(payload: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(payload):
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(payload[start - _LENGTH_BYTES : start], "big")
        yield payload[start:position]
