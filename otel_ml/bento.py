"""A class for `bentoml.monitor`: what a service logs there becomes summaries, without a change to its code.

    # bentoml_configuration.yaml, or BENTOML_CONFIG_OPTIONS
    version: 2
    services:
      <name of the service>:
        monitoring:
          enabled: true
          type: otel_ml.bento.Monitor

Columns logged as "feature" and "prediction" count as inferences of a model of the monitor's name; "target" becomes the
label of the same row's prediction. It works with or without instrumentation, which adds the request's id.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bentoml.monitoring import MonitorBase

from otel_ml.instrumentation.requests.prediction_id import new_prediction_id
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.recording.guard import failed, warn_once
from otel_ml.recording.record import record, record_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_ml.instrumentation.requests.scope import InferenceScope

__all__ = ["Monitor"]

_FEATURE: Final = "feature"
_PREDICTION: Final = "prediction"
_TARGET: Final = "target"
_ROLES: Final = (_FEATURE, _PREDICTION, _TARGET)
_CATEGORICAL: Final = "categorical"
_TYPES: Final = ("numerical", _CATEGORICAL, "numerical_sequence")
_NO_VERSION: Final = "not available"
_WHERE: Final = "otel_ml.bento.Monitor"


class Monitor(MonitorBase):  # type: ignore[misc]  # Any, as mypy sees it
    """Counts logged rows towards the model of the monitor's name; never raises, never waits, writes no file.

    Beside BentoML's own monitors: each name has its own schema and data, also in nested blocks; what an exception
    leaves behind in a block is dropped with it; and each row of a batched API carries its own request's id.

    With several columns of predictions, one that is categorical counts as the prediction and numerical ones beside it
    as scores; else all of them are outputs under their names. A model that a hook of ours sees as well is reported by
    both: give the monitor a name of its own.

    Args:
        name: As given to `bentoml.monitor`; the name of the model.
        version: Of the model; by default that of the bento, where the service is served from one.
        options: Of BentoML's own monitors, such as `log_path`: without meaning here.
    """

    def __init__(self, name: str, version: str | None = None, **options: Any) -> None:
        super().__init__(name, **options)
        self._version = version
        self._roles: dict[str, str] = {}
        self._types: dict[str, str] = {}
        # A variable of its own for each monitor: they are few, and BentoML keeps them as long as the process lives.
        self._columns: ContextVar[dict[str, list[Any]] | None] = ContextVar(f"otel_ml_monitor_{name}", default=None)
        self._so_far: ContextVar[tuple[InferenceScope, int, int] | None] = ContextVar(
            f"otel_ml_monitor_rows_{name}", default=None
        )

    def start_record(self) -> None:
        """Begin a block; what an earlier one has left behind, because it ended with an exception, is dropped."""
        self._columns.set({})

    def log(self, data: Any, name: str, role: str, data_type: str) -> None:
        """Note one value of the row, or one more of the rows, of this block."""
        columns = self._columns.get()
        if columns is None:
            warn_once(f"monitor {self.name}", f"bentoml.monitor({self.name!r}): logged outside of its block")
            return
        values = columns.get(name)
        if values is not None:
            values.append(data)
            return
        columns[name] = [data]
        if name not in self._roles:
            self._learn(name, role, data_type)

    def log_batch(self, data_batch: Iterable[Any], name: str, role: str, data_type: str) -> None:
        """Note a column of many rows."""
        try:
            values = data_batch.tolist() if hasattr(data_batch, "tolist") else list(data_batch)
        except TypeError:
            warn_once(f"monitor {self.name} {name}", f"bentoml.monitor({self.name!r}): batch of {name!r} has no rows")
            return
        columns = self._columns.get()
        if columns is not None and values:
            if name in columns:
                columns[name].extend(values)
                return
            self.log(values[0], name, role, data_type)
            columns[name].extend(values[1:])

    def log_table(self, data: Iterable[Iterable[Any]], schema: Mapping[str, str]) -> None:
        """Note a table of features, whose `schema` gives each column's type; BentoML's own monitors do nothing."""
        for name, column in zip(schema, zip(*data, strict=False), strict=False):
            self.log_batch(column, name, _FEATURE, schema[name])

    def stop_record(self) -> None:
        """End the block, and count its rows."""
        columns = self._columns.get()
        self._columns.set(None)
        if columns:
            self.export_data(columns)

    def export_schema(self, columns_schema: Mapping[str, Mapping[str, str]]) -> None:
        """Nothing: summaries carry their own names and kinds."""

    def export_data(self, datas: Mapping[str, Sequence[Any]]) -> None:
        """Count the rows of some columns."""
        try:
            self._count(datas)
        except Exception as error:
            failed(_WHERE, error)

    def _learn(self, name: str, role: str, data_type: str) -> None:
        """The first time decides what a column is."""
        if role not in _ROLES or data_type not in _TYPES:
            warn_once(
                f"monitor {self.name} {name}",
                f"bentoml.monitor({self.name!r}): column {name!r} has role {role!r} and type {data_type!r}"
                f" (roles are {', '.join(_ROLES)}; types are {', '.join(_TYPES)}); others count as feature and as they"
                " look",
            )
        self._types[name] = data_type
        self._roles[name] = role if role in _ROLES else _FEATURE

    def _count(self, columns: Mapping[str, Sequence[Any]]) -> None:
        rows = self._rows_in(columns)
        by_role: dict[str, dict[str, Sequence[Any]]] = {_FEATURE: {}, _PREDICTION: {}, _TARGET: {}}
        for name, values in columns.items():
            given = values if len(values) == rows else values[:rows]
            if self._types.get(name) == _CATEGORICAL:
                given = [_category(value) for value in given]
            by_role[self._roles.get(name, _FEATURE)][name] = given
        features, predictions, targets = by_role.values()
        ids = self._ids(rows)
        if ids is None and targets:
            # Outside of requests, what ties a label to its prediction has to be made up.
            ids = new_prediction_id()
        if features or predictions:
            outputs, scores = self._outputs(predictions if rows == 1 else _arrays(predictions))
            version = self._model_version()
            if rows == 1:
                row = {name: values[0] for name, values in features.items()}
                record(row or None, _only_row(outputs), _only_row(scores), self.name, version, None, ids)
            else:
                record(features or None, outputs, scores, self.name, version, None, ids)
        if targets:
            # Several of them are several truths about one prediction: the first one is it.
            truth = next(iter(targets.values()))
            record_label(_each(ids, rows), list(truth), model=self.name)

    def _rows_in(self, columns: Mapping[str, Sequence[Any]]) -> int:
        lengths = set(map(len, columns.values()))
        if len(lengths) > 1:
            warn_once(
                f"monitor {self.name} length",
                f"bentoml.monitor({self.name!r}): columns of one block differ in length; rows that are not in all of"
                " them are left out",
            )
        return min(lengths)

    def _outputs(self, predictions: Mapping[str, Sequence[Any]]) -> tuple[Any, Any]:
        """Predictions and scores: each None, a column, or columns by name."""
        if len(predictions) <= 1:
            return next(iter(predictions.values()), None), None
        classes = {name: values for name, values in predictions.items() if self._types.get(name) == _CATEGORICAL}
        others = {name: values for name, values in predictions.items() if name not in classes}
        if len(classes) == 1 and others:
            return next(iter(classes.values())), next(iter(others.values())) if len(others) == 1 else others
        return dict(predictions), None

    def _ids(self, rows: int) -> str | Sequence[str] | None:
        """Of the rows of this block: the request's, or, in a batch of requests, those of the rows next in order."""
        scope = current_scope()
        if scope is None:
            return None
        so_far = self._so_far.get()
        blocks, counted = (so_far[1], so_far[2]) if so_far is not None and so_far[0] is scope else (0, 0)
        self._so_far.set((scope, blocks + 1, counted + rows))
        if scope.row_ids is not None:
            return scope.row_ids[counted : counted + rows] or None
        own_id = scope.prediction_id
        return f"{own_id}.{blocks}" if blocks else own_id

    def _model_version(self) -> str | None:
        if self._version is None:
            from bentoml import server_context  # noqa: PLC0415 - filled in after the service was imported

            version = str(server_context.bento_version or "")
            self._version = "" if version == _NO_VERSION else version
        return self._version or None


def _category(value: Any) -> Any:
    """A class that is coded as a number is no quantity."""
    return value if value is None or isinstance(value, (str, bool)) else str(value)


def _each(ids: str | Sequence[str] | None, rows: int) -> Sequence[str]:
    if ids is None or isinstance(ids, str):
        own = ids or new_prediction_id()
        return [own] if rows == 1 else [f"{own}:{index}" for index in range(rows)]
    return ids


def _arrays(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Columns that cannot be taken for the several outputs of one row."""
    return {name: np.asarray(values) for name, values in columns.items()}


def _only_row(columns: Any) -> Any:
    if columns is None:
        return None
    if isinstance(columns, dict):
        return {name: values[0] for name, values in columns.items()}
    return columns[0]
