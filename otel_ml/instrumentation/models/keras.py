"""Keras 3, on whichever backend: what models are asked and what they answer, not what they are trained or built with.

`predict`, `predict_on_batch` and calling the model are inferences. `fit`, `evaluate` and their likes are not, nor is
anything that only traces the model: symbolic inputs, `tf.function`, `jax.jit`, `torch.compile`, exporting.
"""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation import identity
from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import ModulePatch, Patch
from otel_ml.instrumentation.reading import tensors
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_ml.config import Settings

_WHERE: Final = "keras hook"
_MODULE: Final = "keras.src.models.model"
_QUIET: Final = ("fit", "evaluate", "train_on_batch", "test_on_batch", "export", "quantize")
_PROBABILITIES: Final = frozenset({"sigmoid", "softmax"})
"""Activations of a last layer that make its output a probability."""


class KerasInstrumentor(MLInstrumentor):
    """Records predictions of Keras models: sequential, functional, subclassed, loaded."""

    requires = ("keras >= 3.0",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Methods of `keras.Model`, which all models inherit; a model's own `predict` calls one of them."""
        return (
            Patch(_MODULE, "Model.predict", _recording("predict")),
            Patch(_MODULE, "Model.predict_on_batch", _recording("predict_on_batch")),
            Patch(_MODULE, "Model.__call__", _recording_call),
            *(Patch(_MODULE, f"Model.{name}", _quiet, optional=True) for name in _QUIET),
        )


# --- hooks ------------------------------------------------------------------------------------------------------------


def _recording(operation: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def hook(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            if inside.get() or not KerasInstrumentor.active:
                return method(self, *args, **kwargs)
            given = args[0] if args else kwargs.get("x")
            return _observed(operation, method, self, given, args, kwargs)

        return hook

    return wrap


def _recording_call(method: Callable[..., Any]) -> Callable[..., Any]:
    # Keras has imported its backend by now.
    torch = sys.modules.get("torch")
    is_compiling: Callable[[], bool] = torch.compiler.is_compiling if torch is not None else bool

    @functools.wraps(method)
    def hook(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        # That question comes first: it is a constant for torch.compile, which then reads no further.
        if is_compiling() or inside.get() or not KerasInstrumentor.active:
            return method(self, *args, **kwargs)
        given, left_alone = None, True
        try:
            given = _given(self, args, kwargs)
            left_alone = _is_traced(given) or _is_training(self, kwargs)
        except Exception as error:
            failed(_WHERE, error)
        if left_alone:
            return method(self, *args, **kwargs)
        return _observed("__call__", method, self, given, args, kwargs)

    return hook


def _observed(
    operation: str, method: Callable[..., Any], model: Any, given: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        features = _features(model, given)
    except Exception as error:
        failed(_WHERE, error)
        features = None
    with ObservedCall(_WHERE, functools.partial(_describe, model), operation, features) as call:
        result = method(model, *args, **kwargs)
        call.read(_read, model, features, result)
    return result


def _quiet(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def hook(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        outer = inside.set(True)
        try:
            return method(self, *args, **kwargs)
        finally:
            inside.reset(outer)

    return hook


# --- which calls are inferences ---------------------------------------------------------------------------------------


def _is_training(model: Any, kwargs: dict[str, Any]) -> bool:
    if kwargs.get("training"):
        return True
    # Loops of one's own have no `training=True` in PyTorch: there a model that learns is in training mode, and computes
    # gradients.
    torch = sys.modules.get("torch")
    return torch is not None and _backend() == "torch" and model.training and torch.is_grad_enabled()


def _is_traced(given: Any) -> bool:
    """Whether a call only finds out shapes or makes a graph: its tensors hold no values."""
    if any(is_active() for is_active in _scopes()):
        return True
    leaves = given.values() if isinstance(given, dict) else given if isinstance(given, (list, tuple)) else (given,)
    if any(type(leaf).__name__ == "KerasTensor" for leaf in leaves):
        return True
    backend = _backend()
    library = sys.modules.get(backend)
    if library is None:
        return False
    if backend == "tensorflow":
        return not library.executing_eagerly()
    if backend == "jax":
        # Only JAX's own core can tell that a constant goes into a graph; without it, tracers are recognised.
        is_clean = getattr(sys.modules.get("jax._src.core"), "trace_state_clean", None)
        if is_clean is not None and not is_clean():
            return True
        return any(isinstance(leaf, library.core.Tracer) for leaf in leaves)
    if backend == "torch":
        return bool(library._C._len_torch_dispatch_stack())  # noqa: SLF001 - fake tensors of `torch.export` and others
    return False


@functools.lru_cache(maxsize=1)
def _scopes() -> tuple[Callable[[], bool], ...]:
    """Keras's own marks of a dry run, in which some backends pass real arrays of zeros through a model."""
    common = "keras.src.backend.common"
    found = (
        getattr(sys.modules.get(f"{common}.stateless_scope"), "in_stateless_scope", None),
        getattr(sys.modules.get(f"{common}.symbolic_scope"), "in_symbolic_scope", None),
    )
    return tuple(scope for scope in found if scope is not None)


def _backend() -> str:
    return str(sys.modules["keras"].backend.backend())


# --- reading models ---------------------------------------------------------------------------------------------------


def _describe(model: Any, settings: Settings) -> ModelInfo | None:
    info = identity.infos.get(id(model))
    if info is None:
        info = ModelInfo(key_of(settings, _name_of(model), model), system="keras", feature_names=_feature_names(model))
        if model.built:  # before, it does not know its inputs
            identity.remember(model, info)
    return info


def _name_of(model: Any) -> str:
    """The name the model was given, else its class: a name that Keras makes up depends on what was built before."""
    given, of_class = str(model.name), type(model).__name__
    made_up = rf"({_snake_case(of_class)}|sequential|functional|model)(_\d+)?"
    return of_class if re.fullmatch(made_up, given) else given


def _snake_case(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _feature_names(model: Any) -> tuple[str, ...] | None:
    """Name of the only input if that is one column; what has several columns has no names for them."""
    inputs = _inputs(model)
    shape = tuple(getattr(inputs[0], "shape", ())) if len(inputs) == 1 else ()
    return (str(inputs[0].name),) if shape and shape[1:] in ((), (1,)) else None


def _inputs(model: Any) -> list[Any]:
    # Subclassed models have none; a Sequential that was not built yet raises.
    try:
        return list(model.inputs or ())
    except Exception:
        return []


def _given(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) == 1:
        return args[0]
    options = {name: value for name, value in kwargs.items() if name not in ("training", "mask")}
    cls: Any = type(model)
    return tensors.named(args, options, _parameters(cls))


@functools.lru_cache(maxsize=256)
def _parameters(cls: type) -> tuple[str, ...]:
    code = getattr(getattr(cls, "call", None), "__code__", None)
    return tuple(code.co_varnames[1 : code.co_argcount]) if code is not None else ()


def _features(model: Any, given: Any) -> Any:
    if isinstance(given, (list, tuple)) and given and tensors.shape_of(given[0]) is not None:
        names = [str(tensor.name) for tensor in _inputs(model)]
        given = tensors.named(given, {}, names)
    if isinstance(given, dict):
        return tensors.features_of({name: _as_column(value) for name, value in given.items()})
    if tensors.shape_of(given) is None and not isinstance(given, (list, tuple)):
        return None  # a dataset or generator: only the answer tells how many rows there were
    return tensors.features_of(_as_column(given))


def _as_column(value: Any) -> Any:
    """A vector is n rows here: the first dimension is the batch, always."""
    shape = tensors.shape_of(value)
    return value[:, None] if shape is not None and len(shape) == 1 and not hasattr(value, "index") else value


def _read(model: Any, features: Any, result: Any) -> tuple[Any, Any, Any]:
    """Features, predictions and scores of a call that went well."""
    several = isinstance(result, dict) or (isinstance(result, (list, tuple)) and len(result) > 1)
    answer = tensors.answer_of(result)
    if features is None and (shape := tensors.shape_of(answer)):
        features = tensors.rows_only(shape[0])
    if several:
        return features, _columns_of(model, result) or None, None
    return features, *tensors.outputs_of(answer, is_probability=_gives_probabilities(model))


def _columns_of(model: Any, result: Any) -> dict[str, Any]:
    """Several outputs as columns: "price" where it has one, "risk.0", "risk.1", … where it has several."""
    if not isinstance(result, dict):
        names = getattr(model, "output_names", None) or range(len(result))
        result = dict(zip(map(str, names), result, strict=False))
    columns: dict[str, Any] = {}
    for name, output in result.items():
        shape = tensors.shape_of(output)
        if not shape or len(shape) > 2 or not tensors.is_at_hand(output):
            continue
        values = _as_array(output)
        if len(shape) == 1 or shape[1] == 1:
            columns[name] = values.reshape(-1)
        else:
            width = min(shape[1], tensors.MAX_SCORES)
            columns.update({f"{name}.{index}": values[:, index] for index in range(width)})
    return columns


def _as_array(tensor: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - comes with Keras, not with the interpreter

    return np.asarray(tensor.detach() if hasattr(tensor, "detach") else tensor)


def _gives_probabilities(model: Any) -> bool:
    # The last layer of a Sequential or functional model; a subclassed model's order of layers is only that of creation.
    if not _inputs(model):
        return False
    layers = model.layers
    last = layers[-1] if layers else None
    if type(last).__name__ == "Softmax":
        return True
    return getattr(getattr(last, "activation", None), "__name__", "") in _PROBABILITIES
