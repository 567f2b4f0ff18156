"""ONNX Runtime: `InferenceSession.run`, and its variants whose inputs and outputs stay out of Python's sight.

A model's metadata tells its name (`model_name`), version (`model_version`) and columns (`feature_names`, a JSON list).
Without, the graph's name or the file's is taken. An input of shape (n,) or (n, 1) is a column by its own name.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import PurePath
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.instrumentation import identity
from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.model_call import ModelAdaptor, call_model
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading import tensors
from otel_ml.instrumentation.reading.boosting import scores_of
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.suppression import suppressed
from otel_ml.recording import spans
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch

_WHERE: Final = "onnxruntime hook"
_MODULE: Final = "onnxruntime.capi.onnxruntime_inference_collection"

_MADE_UP: Final = re.compile(r"|main|main_graph|graph|model|torch[-_]jit(-export)?|tf2onnx|[0-9a-f]{32}", re.IGNORECASE)
"""Names that exporters give to every graph."""
_OF_ESTIMATOR: Final = re.compile(r"ONNX\((.+)\)")
"""skl2onnx calls a graph after the class it was made of."""
_PROBABILITY: Final = re.compile(r"prob|score|softmax|sigmoid|confidence", re.IGNORECASE)
_LABEL: Final = re.compile(r"label|class", re.IGNORECASE)
_NO_VERSION: Final = (0, 2**63 - 1)
"""What a model has that was given none."""


class OnnxRuntimeInstrumentor(MLInstrumentor):
    """Records what ONNX Runtime sessions are asked and what they answer."""

    requires_any = (
        "onnxruntime >= 1.16",
        "onnxruntime-gpu >= 1.16",
        "onnxruntime-directml >= 1.16",
        "onnxruntime-openvino >= 1.16",
    )

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """The four ways to run a session."""
        return (
            Patch(_MODULE, "Session.run", _recording),
            Patch(_MODULE, "Session.run_async", _recording_later, optional=True),
            Patch(_MODULE, "Session.run_with_ort_values", _timing("run_with_ort_values")),
            Patch(_MODULE, "Session.run_with_iobinding", _timing("run_with_iobinding")),
        )


# --- hooks ------------------------------------------------------------------------------------------------------------


def _recording(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def hook(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not OnnxRuntimeInstrumentor.active:
            return method(self, *args, **kwargs)

        def ask(session: Any, _: Any, /, **__: Any) -> Any:
            return method(session, *args, **kwargs)

        asked = {"session": self, "names": args[0] if args else kwargs.get("output_names")}
        feed = args[1] if len(args) > 1 else kwargs.get("input_feed")
        return call_model(_ADAPTOR, "run", ask, self, _features_of(feed), (), asked)

    return hook


def _timing(operation: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Hook of a method whose inputs and outputs are handles, often to memory of an accelerator: they are not read."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def hook(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            if inside.get() or not OnnxRuntimeInstrumentor.active:
                return method(self, *args, **kwargs)

            def ask(session: Any, _: Any) -> Any:
                return method(session, *args, **kwargs)

            return call_model(_OPAQUE, operation, ask, self, None, (), {})

        return hook

    return wrap


def _recording_later(method: Callable[..., Any]) -> Callable[..., Any]:
    """Hook of `run_async`, whose callback comes on a thread of the runtime: there is no span to be current anywhere."""

    @functools.wraps(method)
    def hook(
        self: Any, output_names: Any, input_feed: Any, callback: Any, user_data: Any, run_options: Any = None
    ) -> Any:
        if not (inside.get() or suppressed() or not OnnxRuntimeInstrumentor.active):
            try:
                callback = _observed(callback, self, output_names, input_feed)
            except Exception as error:
                failed(_WHERE, error)
        return method(self, output_names, input_feed, callback, user_data, run_options)

    return hook


def _observed(callback: Callable[..., Any], session: Any, names: Any, feed: Any) -> Callable[..., Any]:
    recorder = the_recorder()
    if not recorder.enabled:
        return callback
    info = identity.infos.get(id(session))
    if info is None:
        info = _describe(session, recorder.settings)
        identity.remember(session, info)
    scope = current_scope()
    features = _features_of(feed)
    count = scope.admit(info, "run_async", features) if scope is not None else None
    if scope is not None and count is None:
        return callback
    own_id = count.prediction_id(scope) if count is not None and scope is not None else None
    around = spans.context_of(None)
    begun = perf_counter()

    def done(results: Any, user_data: Any, error: Any) -> Any:
        try:
            duration_s = perf_counter() - begun
            if error:
                made = Inference(
                    info, "run_async", None, None, None, duration_s, semconv.OTHER_LABEL, span_context=around
                )
            else:
                answers = _outputs("run_async", {"session": session, "names": names}, results)
                made = Inference(info, "run_async", features, *answers, duration_s, None, own_id, around)
            the_recorder().submit(made)
        except Exception as failure:
            failed(_WHERE, failure)
        return callback(results, user_data, error)

    return done


# --- reading models ---------------------------------------------------------------------------------------------------


def _describe(session: Any, settings: Settings) -> ModelInfo:
    meta = session.get_modelmeta()
    own = dict(meta.custom_metadata_map or {})
    version = own.get("model_version") or own.get("version") or ("" if meta.version in _NO_VERSION else meta.version)
    return ModelInfo(
        key_of(settings, _name_of(session, meta, own), session, default_version=str(version)),
        system="onnxruntime",
        feature_names=_feature_names(own),
        output_kind=_output_kind(session.get_outputs()),
    )


def _name_of(session: Any, meta: Any, own: Mapping[str, str]) -> str:
    """The name its metadata gives it, else its graph's, else its file's."""
    if named := own.get("model_name") or own.get("name"):
        return str(named)
    graph = str(meta.graph_name or "")
    if estimator := _OF_ESTIMATOR.fullmatch(graph):
        graph = estimator[1]
    if not _MADE_UP.fullmatch(graph):
        return graph
    path = getattr(session, "_model_path", None)
    return PurePath(path).stem if path else graph or "OnnxModel"


def _feature_names(own: Mapping[str, str]) -> tuple[str, ...] | None:
    try:
        names = json.loads(own.get("feature_names", "null"))
    except ValueError:
        return None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def _output_kind(outputs: Sequence[Any]) -> FeatureKind | None:
    """Categories where one of the outputs is a label; else what the first batch shows."""
    for output in outputs:
        if output.type in ("tensor(int64)", "tensor(int32)", "tensor(string)", "tensor(bool)"):
            if len(outputs) > 1 or _LABEL.search(output.name):
                return FeatureKind.CATEGORICAL
        elif len(outputs) == 1 and output.type.startswith(("tensor(float", "tensor(double")):
            return FeatureKind.NUMERIC
    return None


# --- reading what goes in and what comes out --------------------------------------------------------------------------


def _features_of(feed: Any) -> Any:
    try:
        return tensors.features_of(dict(feed)) if feed else None
    except Exception as error:
        failed(_WHERE, error)
        return None


def _outputs(_: str, asked: dict[str, Any], results: Any) -> tuple[Any, Any]:
    """Predictions and scores: a label and the probabilities of classes, or one value a row, or several outputs."""
    names = asked["names"] or [output.name for output in asked["session"].get_outputs()]
    outputs = dict(zip(map(str, names), results, strict=False))
    if len(outputs) == 1:
        ((name, only),) = outputs.items()
        if isinstance(only, list):
            return None, _scores_in_maps(only)
        return _one_output(only, is_probability=bool(_PROBABILITY.search(name)))
    label = next((name for name, output in outputs.items() if _is_label(name, output)), None)
    if label is None:
        return _columns_of(outputs) or None, None
    predictions = outputs.pop(label)
    return predictions, _class_scores(outputs)


def _one_output(output: Any, *, is_probability: bool) -> tuple[Any, Any]:
    if is_probability and len(tensors.shape_of(output) or ()) == 2 and output.shape[1] == 2:
        return None, scores_of(output)
    return tensors.outputs_of(output, is_probability=is_probability)


def _is_label(name: str, output: Any) -> bool:
    shape = tensors.shape_of(output)
    if not shape or len(shape) > 2 or (len(shape) == 2 and shape[1] > 1):
        return False
    kind = output.dtype.kind
    return kind in "OUSb" or (kind in "iu" and not _PROBABILITY.search(name))


def _class_scores(outputs: Mapping[str, Any]) -> Any:
    """Scores beside a label: a matrix, a list of maps from class to probability, or a column a class."""
    for output in outputs.values():
        if isinstance(output, list) and output and isinstance(output[0], dict):
            return _scores_in_maps(output)
        shape = tensors.shape_of(output)
        if shape and len(shape) == 2 and output.dtype.kind == "f":
            return scores_of(output)
    columns = _columns_of(outputs)
    return next(iter(columns.values())) if len(columns) == 1 else columns or None


def _columns_of(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Several outputs as columns: "price" where it has one, "risk.0", "risk.1", … where it has several."""
    columns: dict[str, Any] = {}
    for name, output in outputs.items():
        shape = tensors.shape_of(output)
        if not shape or len(shape) > 2:
            continue
        if len(shape) == 1 or shape[1] == 1:
            columns[name] = output.reshape(-1)
        else:
            for index in range(min(shape[1], tensors.MAX_SCORES)):
                columns[f"{name}.{index}"] = output[:, index]
        if len(columns) >= tensors.MAX_SCORES:
            break
    return columns


def _scores_in_maps(rows: list[Any]) -> Any:
    if not rows or not isinstance(rows[0], dict):
        return None
    classes = list(rows[0])[: tensors.MAX_SCORES]
    if len(rows[0]) == 2:  # the other one is one minus this
        return [row[classes[1]] for row in rows]
    return [{str(label): row.get(label) for label in classes} for row in rows]


def _no_features(_: dict[str, Any]) -> Any:
    return None


_ADAPTOR: Final = ModelAdaptor(_WHERE, _describe, _no_features, _outputs)
_OPAQUE: Final = ModelAdaptor(_WHERE, _describe, _no_features)
