"""What a baseline keeps of texts, points in time and vectors: numbers that describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.baseline.columns import NumberBatch, NumberColumn
from otel_ml.baseline.numeric import runs, summarise_numbers
from otel_ml.baseline.sampled_texts import SampledTexts
from otel_ml.baseline.values import MIN_DIMENSIONS, datetime_of, embedding_of, epochs_of, is_free_text, is_missing
from otel_ml.sketch.datetime_summary import DatetimeSummary
from otel_ml.sketch.embedding import MAX_DIMENSIONS, EmbeddingSummary
from otel_ml.sketch.feature import Counters
from otel_ml.sketch.projected import ProjectionLayout
from otel_ml.sketch.text_summary import TextSummary, words_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from otel_ml.baseline.columns import Column, Piece
    from otel_ml.sketch.bins import BinLayout
    from otel_ml.sketch.numeric_summary import NumericSummary
    from otel_ml.sketch.sketch import CountArray, FloatArray

_SAMPLE: Final = 10_000
"""Rows that tell whether a column holds texts or categories: the first, whichever library has them."""
_RUN: Final = 1 << 16
_BUFFERED: Final = 1 << 18
"""Numbers of vectors that are added up in one go."""
_LENGTHS: Final = 8
"""Lengths of vectors that are kept apart until the most frequent one is known."""


def holds_free_text(column: Column) -> bool:
    """Whether a column of strings holds texts rather than categories; see `is_free_text`."""
    seen, texts = 0, list[str]()
    for piece in column.pieces():
        first = piece[: _SAMPLE - seen]
        texts += [value for value in first if isinstance(value, str)]
        seen += len(first)
        if seen >= _SAMPLE:
            break
    return is_free_text(texts)


def summarise_texts(column: Column) -> tuple[TextSummary, Counters, BinLayout | None]:
    """Lengths and the bins cut for them, words and variety."""
    counters, summary = Counters(), TextSummary()
    lengths: list[CountArray] = []
    words: list[CountArray] = []
    sampled = SampledTexts()
    for piece in column.pieces():
        texts = [value for value in piece if isinstance(value, str)]
        _count(piece, len(texts), counters)
        summary.identify(texts)
        sampled.add(texts)
        words.append(np.fromiter(map(words_in, texts), np.int64, len(texts)))
        # As at serving: a text without a word is as good as empty.
        lengths.append(np.where(words[-1] == 0, 0, np.fromiter(map(len, texts), np.int64, len(texts))))
        summary.empty += len(texts) - int(np.count_nonzero(words[-1]))
    sampled.finish(summary)
    summary.lengths, layout = _numbers(lengths)
    summary.words, _ = _numbers(words)
    # Bins and exact counts are kept of what is compared only.
    summary.words.bins, summary.words.exact = {}, None
    return summary, counters, layout


def summarise_datetimes(column: Column) -> tuple[DatetimeSummary, Counters]:
    """Range, hours and weekdays."""
    counters, summary = Counters(), DatetimeSummary()
    for epochs in runs(map(_epochs, column.pieces()), counters, _RUN):
        summary.update(epochs)
    return summary, counters


def summarise_vectors(
    column: Column, like: EmbeddingSummary | None = None
) -> tuple[EmbeddingSummary, Counters, BinLayout | None]:
    """Moments of the vectors of the most frequent length, their norms, and the bins cut for these.

    Vectors of other lengths count as mismatched.

    Args:
        like: What the vectors are to be compared with, which says how they are projected if their length is the same.
    """
    counters, by_length = Counters(), dict[int, _Vectors]()
    for piece in column.pieces():
        taken = 0
        for matrix in _matrices(piece):
            dimensions = matrix.shape[1]
            if dimensions in by_length or len(by_length) < _LENGTHS:
                finite = matrix[np.isfinite(matrix).all(axis=1)]
                by_length.setdefault(dimensions, _Vectors(dimensions)).add(finite)
                taken += len(finite)
        _count(piece, taken, counters)
    # Of two lengths that are as frequent, the one that came first.
    most = max(by_length.values(), key=lambda vectors: vectors.count, default=None)
    if most is None or not most.count:
        return EmbeddingSummary(), counters, None
    counters.mismatched += sum(vectors.count for vectors in by_length.values() if vectors is not most)
    summary, norms = most.finished()
    mean, scatter = summary.bounded_moments()
    projections = ProjectionLayout.of_moments(mean, scatter / summary.count)
    if like is not None and like.dimensions == summary.dimensions:
        projections = None if like.projected is None else like.projected.layout
    if projections is not None:
        # Once more: how vectors are to be projected is known only after all of them were seen.
        again = _Vectors(summary.dimensions, projections)
        for piece in column.pieces():
            for matrix in _matrices(piece):
                if matrix.shape[1] == summary.dimensions:
                    again.add(matrix[np.isfinite(matrix).all(axis=1)])
        summary, norms = again.finished()
    summary.norms, layout = _numbers(norms)
    return summary, counters, layout


class _Vectors:
    """Vectors of one length, added up in runs that do not depend on the pieces in which they come."""

    def __init__(self, dimensions: int, projections: ProjectionLayout | None = None) -> None:
        self.count = 0
        self._summary = EmbeddingSummary.anchored(None, dimensions, projections)
        self._norms: list[FloatArray] = []
        self._buffer = np.empty((max(1, _BUFFERED // dimensions), dimensions))
        self._filled = 0

    def add(self, matrix: npt.NDArray[Any]) -> None:
        """Add finite vectors."""
        self.count += len(matrix)
        while len(matrix):
            taken = matrix[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            matrix = matrix[len(taken) :]
            if self._filled == len(self._buffer):
                self._flush()

    def finished(self) -> tuple[EmbeddingSummary, list[FloatArray]]:
        """Their moments, and their norms, which are not in it yet."""
        self._flush()
        return self._summary, self._norms

    def _flush(self) -> None:
        self._norms.append(self._summary.add(self._buffer[: self._filled]))
        self._filled = 0


def _numbers(parts: Sequence[npt.NDArray[Any]]) -> tuple[NumericSummary, BinLayout | None]:
    values = np.concatenate(parts) if parts else np.empty(0)
    summary, _, layout = summarise_numbers(NumberColumn.of(values), len(values))
    return summary, layout


def _count(piece: Piece, taken: int, counters: Counters) -> None:
    """Count the rows of a piece, of which so many were as expected."""
    counters.rows += len(piece)
    if taken < len(piece):
        missing = sum(map(is_missing, piece))
        counters.missing += missing
        counters.mismatched += len(piece) - taken - missing


def _epochs(piece: Piece) -> NumberBatch:
    if isinstance(piece, np.ndarray):
        return NumberBatch(epochs_of(piece))
    epochs = [datetime_of(value) for value in piece]
    mismatched = sum(epoch is None and not is_missing(value) for epoch, value in zip(epochs, piece, strict=True))
    return NumberBatch(np.array([np.nan if epoch is None else epoch for epoch in epochs]), mismatched)


def _matrices(piece: Piece) -> list[npt.NDArray[Any]]:
    """The vectors of a piece, those of one length together."""
    if isinstance(piece, np.ndarray):
        return [piece] if MIN_DIMENSIONS <= piece.shape[1] <= MAX_DIMENSIONS else []
    by_length: dict[int, list[FloatArray]] = {}
    for value in piece:
        vector = embedding_of(value)
        if vector is not None:
            by_length.setdefault(len(vector), []).append(vector)
    return [np.stack(vectors) for vectors in by_length.values()]
