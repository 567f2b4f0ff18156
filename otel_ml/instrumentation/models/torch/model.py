"""Reading PyTorch models: which calls are inferences, and what of inputs and outputs is recorded."""

from __future__ import annotations

import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_ml.instrumentation import identity
from otel_ml.instrumentation.calls.model_call import ModelAdaptor
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.reading import tensors
from otel_ml.recording.inference import ModelInfo

if TYPE_CHECKING:
    from otel_ml.config import Settings
    from otel_ml.sketch.feature import ModelKey

WHERE: Final = "torch hook"
PLACE: Final = "_compiled_call_impl"
"""The attribute by which a module is watched."""


class Told(Protocol):
    """What `watch` was told about a model."""

    key: ModelKey | None
    feature_names: tuple[str, ...] | None


def is_left_alone(module: Any, args: tuple[Any, ...]) -> bool:
    """Whether a call is no inference: it learns, or its tensors hold no values of their own."""
    torch = sys.modules["torch"]
    if module.training and torch.is_grad_enabled():
        return True
    core = torch._C  # noqa: SLF001 - nothing public tells that values are only traced
    return (
        core._is_tracing()  # noqa: SLF001 - the same
        or core._len_torch_dispatch_stack() > 0  # noqa: SLF001 - the same
        or core._functorch.peek_interpreter_stack() is not None  # noqa: SLF001 - the same
        or (bool(args) and type(args[0]).__module__ == "torch.fx.proxy")
    )


def features_of_call(args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...]) -> Any:
    """What can be recorded of an input; None when it does not tell how many rows it has."""
    given = tensors.named(args, kwargs, names)
    if isinstance(given, (list, tuple)) and given and tensors.shape_of(given[0]) is not None:
        return tensors.rows_only(len(given))  # images of different sizes, say
    if not isinstance(given, dict) and hasattr(given, "items"):
        given = dict(given.items())
    shape = tensors.shape_of(given)
    if shape is not None and len(shape) == 1 and hasattr(given, "is_floating_point"):
        # Numbers of a single row; but indices of as many rows.
        given = given[None] if given.is_floating_point() else given[:, None]
    elif shape is None and not isinstance(given, dict):
        return None
    return tensors.features_of(given)


@functools.lru_cache(maxsize=256)
def _parameters_of(forward: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(forward).parameters)[1:]


def parameters(module: Any) -> tuple[str, ...]:
    """Names of what the user's module is called with, in order; none where it does not tell."""
    try:
        return _parameters_of(type(_original(module)).forward)
    except Exception:  # of a scripted module, say
        return ()


def _original(module: Any) -> Any:
    """The user's module below those that only compile or distribute it."""
    for _ in range(4):
        children = vars(module).get("_modules", ())
        name = "module" if type(module).__name__ in ("DataParallel", "DistributedDataParallel") else "_orig_mod"
        if name not in children:
            break
        module = children[name]
    return module


def describe(module: Any, settings: Settings) -> ModelInfo | None:
    """Name, columns and labels of a module that is watched; None for any other."""
    known = identity.infos.get(id(module))
    if known is not None:
        return known
    told: Told | None = getattr(vars(module).get(PLACE), "told", None)
    if told is None:
        return None
    original = _original(module)
    key = told.key or key_of(settings, type(original).__name__, module, original)
    info = ModelInfo(key, system="pytorch", feature_names=told.feature_names, classes=_classes(original))
    identity.remember(module, info)
    return info


def _classes(module: Any) -> tuple[str, ...] | None:
    """Labels that a model of transformers carries."""
    labels = getattr(getattr(module, "config", None), "id2label", None)
    if not isinstance(labels, dict) or not labels or len(labels) > tensors.MAX_SCORES:
        return None
    return tuple(str(labels[index]) for index in sorted(labels))


def _outputs(_: str, __: dict[str, Any], result: Any) -> tuple[Any, Any]:
    return tensors.outputs_of(tensors.answer_of(result))


def read_late(result: Any) -> tuple[Any, Any, Any]:
    """Features, predictions and scores of a call whose input does not tell how many rows it has."""
    answer = tensors.answer_of(result)
    shape = tensors.shape_of(answer)
    return tensors.rows_only(shape[0]) if shape else None, *tensors.outputs_of(answer)


def read_written(given: Any, result: Any) -> tuple[Any, Any, Any]:
    """Rows of what was written; its tokens are no columns."""
    shape = tensors.shape_of(given) or tensors.shape_of(tensors.answer_of(result))
    return tensors.rows_only(shape[0]) if shape else None, None, None


ADAPTOR: Final = ModelAdaptor(WHERE, describe, lambda _: None, _outputs)
