"""From training data to a baseline."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_ml.baseline.baseline import Baseline
from otel_ml.baseline.confusion import count_confusion, label_column
from otel_ml.baseline.counted import count_booleans, count_categories
from otel_ml.baseline.described import holds_free_text, summarise_datetimes, summarise_texts, summarise_vectors
from otel_ml.baseline.frames import Table, frame_table
from otel_ml.baseline.importances import feature_importances
from otel_ml.baseline.joint_rows import JointRows
from otel_ml.baseline.message import content_id, from_bytes, to_bytes
from otel_ml.baseline.numeric import summarise_numbers
from otel_ml.baseline.outputs import Selected, output_columns
from otel_ml.baseline.row_sample import check_sample_rows, sample_of
from otel_ml.baseline.suggestion import unknown
from otel_ml.errors import BaselineError
from otel_ml.sketch.categories import hashed_name
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.summary import CategoricalSummary, Content, FeatureSummary, OpaqueSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otel_ml.baseline.columns import Column
    from otel_ml.sketch.bins import BinLayout

_COUNTABLE: Final = frozenset((FeatureKind.CATEGORICAL, FeatureKind.NUMERIC, FeatureKind.BOOLEAN))


def build_baseline(
    data: Any,
    *,
    model: ModelKey,
    predictions: Any = None,
    scores: Any = None,
    labels: Any = None,
    features: Sequence[str] | str | None = None,
    excluded: Sequence[str] = (),
    categorical: Sequence[str] | str = (),
    text: Sequence[str] | str = (),
    importances: Any = None,
    hashed: Sequence[str] | str = (),
    hash_key: str = "",
    sample_rows: int = 0,
    on_column: Callable[[str, int, int], None] | None = None,
) -> Baseline:
    """Summarise training data; see `Baseline.build`.

    Categories of columns that are `hashed` are kept as hashes with `hash_key`, as servers with
    OTEL_PYTHON_ML_HASH_FEATURES and the same OTEL_PYTHON_ML_HASH_KEY send them.

    Beyond that, columns may be `excluded` from the features, and `on_column` is called with each column's name, its
    place and the number of columns before it is read.

    Raises:
        BaselineError: The data cannot be read, or has no such column.
    """
    if not model.name:
        raise BaselineError("model: '' (must be the model's name)")
    check_sample_rows(sample_rows)
    with open_table(data, features) as table:
        if not table.rows:
            raise BaselineError(f"{table.source}: has no rows (a baseline needs at least one)")
        outputs = [
            *output_columns(FeatureRole.PREDICTION, predictions, table),
            *output_columns(FeatureRole.SCORE, scores, table),
        ]
        label, label_name = (None, None) if labels is None else label_column(labels, table)
        if label_name is not None:
            _check_role(table.source, label_name, outputs, (features, categorical, text, hashed))
            excluded = [*excluded, label_name]
        columns = _selected(table, outputs, features, excluded)
        predicted = None if label is None else _only_prediction(table.source, columns)
        kinds = _kinds(table.source, columns, categorical=categorical, text=text)
        to_hash = _named(table.source, columns, hashed)
        if to_hash and not hash_key:
            raise BaselineError(f"{table.source}: hashing columns needs a key (the servers' OTEL_PYTHON_ML_HASH_KEY)")
        together = JointRows(table.rows, kinds, are_weighed=importances is not None)
        summaries: dict[FeatureKey, FeatureSummary] = {}
        layouts: dict[FeatureKey, BinLayout] = {}
        for place, (key, chosen) in enumerate(columns.items()):
            if on_column is not None:
                on_column(key.name, place, len(columns))
            content, counters, layout = _summarise(together.watched(key, chosen.column), kinds[key], table.rows)
            if key in to_hash and isinstance(content, CategoricalSummary):
                content.categories = content.categories.renamed(lambda name: hashed_name(name, hash_key.encode()))
            summaries[key] = FeatureSummary(key, content, counters)
            if layout is not None:
                layouts[key] = layout
        weights = {} if importances is None else feature_importances(importances, summaries, table.source)
        confusion = None
        if label is not None and predicted is not None:
            confusion = count_confusion(columns[predicted].column, kinds[predicted], label)
            if confusion is not None and predicted in to_hash and kinds[predicted] is FeatureKind.CATEGORICAL:
                confusion = confusion.renamed(lambda name: hashed_name(name, hash_key.encode()))
        readable = {key: chosen.column for key, chosen in columns.items()}
        hashes = {key: partial(hashed_name, key=hash_key.encode()) for key in to_hash}
        rows = sample_of(readable, summaries, table.rows, sample_rows, hashes.get)
        draft = Baseline(
            model,
            "",
            time.time_ns(),
            table.rows,
            summaries,
            layouts,
            weights,
            confusion,
            row_sample=rows,
            joint=together.joint(summaries, weights),
        )
        # As it comes from a file, so that it makes no difference whether it has been in one.
        return from_bytes(to_bytes(replace(draft, id=content_id(draft))), table.source)


def _summarise(column: Column, kind: FeatureKind, rows: int) -> tuple[Content, Counters, BinLayout | None]:
    if kind is FeatureKind.NUMERIC:
        return summarise_numbers(column, rows)
    if kind is FeatureKind.BOOLEAN:
        return *count_booleans(column), None
    if kind is FeatureKind.CATEGORICAL:
        categories, counters = count_categories(column)
        # Documents are nobody's category, and too revealing to keep.
        return summarise_texts(column) if categories is None else (categories, counters, None)
    if kind is FeatureKind.TEXT:
        return summarise_texts(column)
    if kind is FeatureKind.DATETIME:
        return *summarise_datetimes(column), None
    if kind is FeatureKind.EMBEDDING:
        return summarise_vectors(column)
    return OpaqueSummary(), Counters(rows=rows, missing=column.missing()), None


@contextmanager
def open_table(data: Any, names: Sequence[str] | str | None = None) -> Iterator[Table]:
    """Data as `Baseline.build` takes them, readable until the context ends; `names` are those of an array's columns.

    Raises:
        BaselineError: The data cannot be read.
    """
    if not isinstance(data, (str, PathLike)):
        yield frame_table(data, [names] if isinstance(names, str) else names)
        return
    path = Path(os.fspath(data))
    try:
        from otel_ml.baseline.files import open_file  # noqa: PLC0415 - needs pyarrow, which is optional
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise BaselineError(f"{path}: reading files needs pyarrow: pip install 'otel-ml[parquet]'") from error
    with open_file(path) as table:
        yield table


def _selected(
    table: Table, outputs: Sequence[Selected], features: Sequence[str] | str | None, excluded: Sequence[str]
) -> dict[FeatureKey, Selected]:
    """The columns to summarise: features in the data's order or the given one, then predictions and scores."""
    if isinstance(features, str):
        features = [features]
    for name in [*(features or ()), *excluded]:
        table.column(name)
    taken = {output.known_as for output in outputs}
    for name in features or ():
        if name in taken:
            raise BaselineError(f"{table.source}: column {name!r} cannot be a feature and an output")
    names = [name for name in features or table.columns if name not in taken and name not in excluded]
    inputs = [Selected(FeatureKey(FeatureRole.FEATURE, name), table.column(name), name) for name in names]
    selected: dict[FeatureKey, Selected] = {}
    for chosen in [*inputs, *outputs]:
        if chosen.key in selected:
            raise BaselineError(f"{table.source}: two {chosen.key.role.value}s are called {chosen.key.name!r}")
        selected[chosen.key] = chosen
    if not selected:
        raise BaselineError(f"{table.source}: no columns are left to summarise")
    return selected


def _check_role(
    source: str, label: str, outputs: Sequence[Selected], named: Sequence[Sequence[str] | str | None]
) -> None:
    """Make sure that nobody calls the column of labels something else."""
    if any(output.known_as == label for output in outputs):
        raise BaselineError(f"{source}: column {label!r} cannot be an output and the labels")
    for names in named:
        if label in ([names] if isinstance(names, str) else names or ()):
            raise BaselineError(
                f"{source}: column {label!r} holds the labels: no feature, and read and hashed as the predictions are"
            )


def _only_prediction(source: str, columns: Mapping[FeatureKey, Selected]) -> FeatureKey:
    """The column that labels are the truth of."""
    found = [key for key in columns if key.role is FeatureRole.PREDICTION]
    if len(found) != 1:
        raise BaselineError(f"{source}: labels go with one column of predictions, not {len(found)}")
    return found[0]


def _kinds(
    source: str,
    selected: Mapping[FeatureKey, Selected],
    *,
    categorical: Sequence[str] | str,
    text: Sequence[str] | str,
) -> dict[FeatureKey, FeatureKind]:
    """How each column is to be read: as its type says, text that is free as text, and those named as the user says."""
    kinds = {key: chosen.column.kind for key, chosen in selected.items()}
    as_categories = _named(source, selected, categorical)
    as_texts = _named(source, selected, text)
    for key, name in as_categories.items():
        if key in as_texts:
            raise BaselineError(f"{source}: column {name!r} cannot be both categorical and text")
        if kinds[key] not in _COUNTABLE:
            raise BaselineError(f"{source}: column {name!r} holds no text, numbers or truth values")
        kinds[key] = FeatureKind.CATEGORICAL
    for key, name in as_texts.items():
        if kinds[key] is not FeatureKind.CATEGORICAL:
            raise BaselineError(f"{source}: column {name!r} holds no text")
        kinds[key] = FeatureKind.TEXT
    for key, kind in kinds.items():
        if kind is FeatureKind.CATEGORICAL and key not in as_categories and holds_free_text(selected[key].column):
            kinds[key] = FeatureKind.TEXT
    return kinds


def _named(source: str, selected: Mapping[FeatureKey, Selected], names: Sequence[str] | str) -> dict[FeatureKey, str]:
    """The columns of these names, in the data or in the baseline, and the name that meant each."""
    named: dict[FeatureKey, str] = {}
    for name in [names] if isinstance(names, str) else names:
        found = [key for key, chosen in selected.items() if name in (chosen.known_as, key.name)]
        if not found:
            known = dict.fromkeys(chosen.known_as or key.name for key, chosen in selected.items())
            raise BaselineError(f"{source}: {unknown('column', name, list(known))}")
        named.update(dict.fromkeys(found, name))
    return named
