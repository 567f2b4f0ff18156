"""One model's summaries within one interval: fed with what the queue held, drained into a snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from otel_ml.recording.column_set import ColumnSet
from otel_ml.recording.columns import RowBatch, are_rows, batch_of, is_row
from otel_ml.recording.exemplars import ExemplarFinder, attach, slowest_call
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import RECORD, SHORT
from otel_ml.recording.joint import JointColumn
from otel_ml.recording.measured_calls import MeasuredCalls
from otel_ml.recording.outputs import length_of, output_batches
from otel_ml.recording.row_sample import RowSampler
from otel_ml.sketch.feature import FeatureKind, FeatureRole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from otel_ml.baseline import Baseline
    from otel_ml.recording.column_set import DrainedColumn
    from otel_ml.recording.columns import Batch
    from otel_ml.recording.inference import ModelInfo
    from otel_ml.recording.privacy import PrivacyPolicy
    from otel_ml.sketch.calls import CallSummary
    from otel_ml.sketch.exemplar import Exemplar
    from otel_ml.sketch.feature import ModelKey
    from otel_ml.sketch.row_sample import RowSample

MAX_FEATURES = "max_features"
UNREADABLE = "unreadable"


class CallKind(NamedTuple):
    """What calls are told apart by in metrics; few combinations per model."""

    operation: str
    system: str
    error_type: str | None


@dataclass(slots=True)
class Calls:
    """Calls of one kind since the last time they were taken."""

    durations_s: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    slowest: Exemplar | None = None
    """Of those that were traced."""


class Drained(NamedTuple):
    """What a model did since the last drain.

    Attributes:
        let_go: Rows whose columns were not (all) summarised, by reason.
        row_sample: Some of the rows themselves, where rows may leave.
        calls: How calls went that were put into `ModelAccumulator.measured`; None if there were none.
    """

    rows: int
    columns: list[DrainedColumn]
    let_go: dict[str, int]
    row_sample: RowSample | None = None
    calls: CallSummary | None = None


class ModelAccumulator:
    """Everything that is summarised of one version of one model.

    Needs no thread and no OpenTelemetry: `add` inferences, `drain` summaries.

    Args:
        max_features: Columns that are summarised per role.
        privacy: Which columns of the input may be summarised at all.
        finds_exemplars: Look for requests that brought values worth a look.
        sample_rows: Rows of each interval that leave as they are; 0 for none.
        correlations: Look at numeric features together, where the baseline does.
    """

    def __init__(
        self,
        key: ModelKey,
        *,
        baseline: Baseline | None = None,
        max_features: int = 1_000,
        privacy: PrivacyPolicy | None = None,
        finds_exemplars: bool = True,
        sample_rows: int = 0,
        correlations: bool = True,
    ) -> None:
        self.key = key
        self.calls: dict[CallKind, Calls] = {}
        self.measured = MeasuredCalls()
        """Where whoever takes calls puts them, to be in what is drained next."""
        self.classes: tuple[str, ...] = ()
        """What the model chooses from, as far as it can tell."""
        self._baseline = baseline
        self._rows = 0
        self._let_go: dict[str, int] = {}
        self._finder = ExemplarFinder() if finds_exemplars else None
        self._sampler: RowSampler | None = None
        if sample_rows:
            self._sampler = RowSampler(sample_rows, privacy.admits if privacy is not None else lambda _: True)
        self._row_samples: list[RowSample] = []
        self._features = ColumnSet(
            FeatureRole.FEATURE,
            baseline=baseline,
            max_columns=max_features,
            privacy=privacy,
            finder=self._finder,
            joint=JointColumn.of(baseline, privacy) if correlations else None,
        )
        self._predictions = ColumnSet(
            FeatureRole.PREDICTION,
            baseline=baseline,
            max_columns=max_features,
            counts_words=privacy is None or privacy.counts_words,
        )
        self._scores = ColumnSet(FeatureRole.SCORE, baseline=baseline, max_columns=max_features)
        self._names: dict[tuple[tuple[str, ...] | None, str, int], tuple[str, ...]] = {}

    @property
    def columns(self) -> int:
        """Columns of all roles that are summarised."""
        return len(self._features) + len(self._predictions) + len(self._scores)

    def add(self, inferences: Sequence[Any]) -> None:
        """Summarise inferences of this model: `Inference`s, or tuples of their first fields."""
        for _ in self.steps(inferences):
            pass

    def steps(self, inferences: Sequence[Any]) -> Iterator[None]:
        """The same in steps of about 0.25 ms, so that who has the GIL can give it to a request in between."""
        self._features.timestamp_s = inferences[0][9] / 1e9 if len(inferences[0]) > 9 else 0.0
        sizes: list[int | None] = [None] * len(inferences)
        features = [inference[2] for inference in inferences]
        if set(map(type, features)) == {dict} and are_rows(features):
            sizes = [1] * len(features)
            self._rows += len(features)
            yield from self._feature_steps(RowBatch(features), inferences, sizes)
        else:
            for start, stop, batch in self._batches(inferences):
                if batch is None:
                    continue
                self._rows += len(batch)
                if stop - start == 1:
                    sizes[start] = len(batch)
                else:
                    sizes[start:stop] = [length_of(inference[2]) for inference in inferences[start:stop]]
                yield from self._feature_steps(batch, inferences[start:stop], sizes[start:stop])
        yield from self._output_steps(inferences, sizes, 3, self._predictions)
        yield from self._output_steps(inferences, sizes, 4, self._scores)
        self._count_calls(inferences, sizes)

    def drain(self) -> Drained:
        """What was added since the last time."""
        columns: list[DrainedColumn] = []
        for _ in self.drain_steps(columns):
            pass
        return self.drained(columns)

    def drain_steps(self, into: list[DrainedColumn]) -> Iterator[None]:
        """Append all columns, in steps; `drained` gives the rest. Nothing may be added in between."""
        for columns in (self._features, self._predictions, self._scores):
            yield from columns.drain(into)
        if self._sampler is not None:
            try:
                yield from self._sampler.drain(into, self._row_samples)
            except Exception as error:
                failed("sampling rows", error)

    def drained(self, columns: list[DrainedColumn]) -> Drained:
        """The columns with the rows they come from."""
        for columns_of_role in (self._features, self._predictions, self._scores):
            if columns_of_role.overflow_rows:
                self._let(MAX_FEATURES, columns_of_role.overflow_rows)
                columns_of_role.overflow_rows = 0
        if self._finder is not None:
            attach(columns, self._finder.drain())
        sample = self._row_samples.pop() if self._row_samples else None
        drained = Drained(self._rows, columns, self._let_go, sample, self.measured.take())
        self._rows, self._let_go = 0, {}
        return drained

    def take_calls(self) -> dict[CallKind, Calls]:
        """Durations and sizes since the last time."""
        calls, self.calls = self.calls, {}
        return calls

    def _feature_steps(self, batch: Batch, calls: Sequence[Any], sizes: Sequence[int | None]) -> Iterator[None]:
        finder = self._finder
        if finder is not None:
            finder.begin(calls, [size or 0 for size in sizes])
        for piece in batch.pieces():
            yield from self._take(self._features, piece)
            if self._sampler is not None:
                yield from self._sample(self._sampler, piece)
            if finder is not None:
                finder.advance(len(piece))
        if finder is not None:
            finder.end()

    def _take(self, columns: ColumnSet, piece: Batch) -> Iterator[None]:
        try:
            yield from columns.take(piece)
        except Exception as error:
            failed("summarising", error)
            self._let(UNREADABLE, len(piece))
        yield

    def _sample(self, sampler: RowSampler, piece: Batch) -> Iterator[None]:
        try:
            yield from sampler.take(piece, self._features.flat)
        except Exception as error:
            failed("sampling rows", error)

    def _let(self, reason: str, rows: int) -> None:
        self._let_go[reason] = self._let_go.get(reason, 0) + rows

    def _batches(self, inferences: Sequence[Any]) -> Iterator[tuple[int, int, Batch | None]]:
        """Neighbours that can be read together, as (start, stop, batch)."""
        start = 0
        while start < len(inferences):
            stop = _run_end(inferences, start)
            batch: Batch | None = None
            inference = inferences[start]
            if inference[2] is not None:
                try:
                    batch = self._batch(inferences[start:stop])
                except Exception as error:
                    failed("reading features", error)
                    rows = sum(length_of(inference[2]) for inference in inferences[start:stop])
                    self._rows += rows
                    self._let(UNREADABLE, rows)
            elif inference[1] == RECORD and inference[3] is not None:
                self._rows += length_of(inference[3])
            yield start, stop, batch
            start = stop

    def _batch(self, run: Sequence[Any]) -> Batch:
        if len(run) == 1:
            info, operation, features = run[0][:3]
            # Names that came with `record()` are the user's word; those of a model only help out.
            return batch_of(features, self.names_for(info), info.feature_names if operation == RECORD else None)
        values = [inference[2] for inference in run]
        if type(values[0]) is dict:
            return RowBatch(values)
        return batch_of(np.concatenate(values), self.names_for(run[0][0]))

    def names_for(self, info: ModelInfo) -> Callable[[int], tuple[str, ...]]:
        """What gives columns without names their names, by their number."""

        def names(width: int) -> tuple[str, ...]:
            key = (info.feature_names, info.column_prefix, width)
            found = self._names.get(key)
            if found is None:
                found = self._choose_names(info, width)
                if len(self._names) > 1_000:
                    self._names.clear()
                self._names[key] = found
            return found

        return names

    def _choose_names(self, info: ModelInfo, width: int) -> tuple[str, ...]:
        given = info.feature_names
        if given is not None and len(given) == width:
            return tuple(map(str, given))
        if self._baseline is not None:
            # A matrix without names has the columns of the training data, if it has as many.
            known = tuple(key.name for key in self._baseline.features if key.role is FeatureRole.FEATURE)
            if len(known) == width:
                return known
        return tuple(f"{info.column_prefix}{index}" for index in range(width))

    def _output_steps(
        self, inferences: Sequence[Any], sizes: Sequence[int | None], field_index: int, columns: ColumnSet
    ) -> Iterator[None]:
        try:
            batches = output_batches(inferences, sizes, field_index)
        except Exception as error:
            failed("reading predictions", error)
            self._let(UNREADABLE, len(inferences))
            return
        if columns.role is FeatureRole.PREDICTION and batches:
            info = inferences[0][0]
            if info.classes is not None and len(info.classes) != len(self.classes):
                self.classes = tuple(map(str, info.classes))
            columns.kind = info.output_kind or (FeatureKind.CATEGORICAL if info.classes is not None else None)
        for batch in batches:
            for piece in batch.pieces():
                yield from self._take(columns, piece)

    def _count_calls(self, inferences: Sequence[Any], sizes: Sequence[int | None]) -> None:
        if set(map(len, inferences)) == {SHORT}:  # of `record()`: nothing to tell apart
            calls = self._calls_of(CallKind(inferences[0][1], inferences[0][0].system, None))
            calls.sizes.extend([size for size in sizes if size is not None])
            return
        if min(map(len, inferences)) > SHORT:
            kinds = set(zip(map(_OPERATION, inferences), map(_ERROR, inferences), strict=True))
            durations = list(map(_DURATION, inferences))
            if len(kinds) == 1 and min(durations) >= 0.0 and None not in sizes:  # the usual chunk: nothing to sort out
                operation, error = kinds.pop()
                calls = self._calls_of(CallKind(operation, inferences[0][0].system, error))
                calls.durations_s.extend(durations)
                calls.sizes.extend(sizes)  # type: ignore[arg-type]  # there is no None among them
                if self._finder is not None:
                    calls.slowest = slowest_call(inferences, durations, calls.slowest)
                return
        for inference, size in zip(inferences, sizes, strict=True):
            whole = len(inference) > SHORT
            calls = self._calls_of(CallKind(inference[1], inference[0].system, inference[6] if whole else None))
            if whole and inference[5] >= 0.0:
                calls.durations_s.append(inference[5])
                if self._finder is not None:
                    calls.slowest = slowest_call((inference,), (inference[5],), calls.slowest)
            if size is not None:
                calls.sizes.append(size)

    def _calls_of(self, kind: CallKind) -> Calls:
        calls = self.calls.get(kind)
        if calls is None:
            calls = self.calls[kind] = Calls()
        return calls


_OPERATION, _DURATION, _ERROR = itemgetter(1), itemgetter(5), itemgetter(6)


def _run_end(inferences: Sequence[Any], start: int) -> int:
    """Where the run of inferences ends whose features can be read as one."""
    info, _, features = inferences[start][:3]
    stop = start + 1
    if type(features) is dict:
        if not is_row(features):
            return stop
        while stop < len(inferences) and type(inferences[stop][2]) is dict and is_row(inferences[stop][2]):
            stop += 1
    elif isinstance(features, np.ndarray) and features.ndim == 2 and features.dtype.names is None:
        dtype, shape = features.dtype, features.shape[1:]
        while stop < len(inferences):
            other = inferences[stop]
            if other[0] is not info or not (
                isinstance(other[2], np.ndarray) and other[2].dtype == dtype and other[2].shape[1:] == shape
            ):
                break
            stop += 1
    return stop
