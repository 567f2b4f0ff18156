"""Reading an inference from the arguments of a BentoML API and what it returned."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.instrumentation.reading.exchange import (
    inference_in,
    looks_like_inference,
    outputs_in,
    says_prediction,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCORES_NAMED: Final = ("proba", "score", "logit")
_MAX_VALUES: Final = 10_000
"""Of an array that is one of several arguments: a vector is worth reading, an image is not."""


class ApiExchange(NamedTuple):
    """An inference, as read from the call of an API."""

    features: Any
    predictions: Any
    scores: Any


def inference_of(method: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> ApiExchange | None:
    """What the API was asked and answered, or None if that was no inference.

    An array or table with one output a row is an inference, whatever the API is called: nobody logs in with a matrix.
    Anything else must say that it predicts something, in the API's name, its route or its answer.

    Args:
        method: BentoML's `APIMethod`.
        args: As the service's function was called.
        kwargs: Likewise.
        result: What it returned.
    """
    arguments = _arguments_of(method, args, kwargs)
    named_so = _is_named_so(method)
    if len(arguments) == 1:
        (value,) = arguments.values()
        rows = _rows_of(value)
        if rows is not None:
            predictions, scores = _outputs_for(method.name, result, rows)
            if predictions is None and scores is None:
                return None
            # Images and the like: there is no feature to summarise in a pixel.
            features = value if getattr(value, "ndim", 2) <= 2 else None
            return ApiExchange(features, predictions, scores)
    plain = {name: _plain(value) for name, value in arguments.items()}
    found = inference_in(plain, _plain(result), named_so=named_so)
    return ApiExchange(*found) if found is not None else None


def is_announced(method: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> bool:
    """Whether `inference_of` will find one, as far as a look tells."""
    if _is_named_so(method) or says_prediction(result):
        return True
    arguments = _arguments_of(method, args, kwargs)
    if len(arguments) != 1:
        return False
    (value,) = arguments.values()
    return _rows_of(value) is not None and not isinstance(result, (str, bytes))


def _is_named_so(method: Any) -> bool:
    return looks_like_inference(method.name, method.route)


def _arguments_of(method: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """By name, without what is BentoML's."""
    if not args:
        arguments = dict(kwargs)
    else:
        parameters = list(inspect.signature(method.func).parameters)[1:]
        arguments = {**dict(zip(parameters, args, strict=False)), **kwargs}
    arguments.pop(method.ctx_param, None)
    return arguments


def _rows_of(value: Any) -> int | None:
    """Rows of an array of two or more dimensions, or of a table; None for anything else."""
    shape = getattr(value, "shape", None)
    try:
        return int(shape[0]) if shape is not None and len(shape) >= 2 else None
    except TypeError:
        return None


def _outputs_for(name: str, result: Any, rows: int) -> tuple[Any, Any]:
    """Predictions and scores for the rows of an array or table; None and None if they are not for them."""
    if _is_table(result):
        result = {str(column): _plain(result[column]) for column in result.columns}
    shape = getattr(result, "shape", None)
    if not shape:
        return outputs_in(_plain(result), rows, named_so=True)
    if int(shape[0]) != rows:
        return None, None
    is_score = any(part in name.lower() for part in _SCORES_NAMED)
    return (None, result) if is_score else (result, None)


def _is_table(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "shape") and hasattr(type(value), "__getitem__")


def _plain(value: Any) -> Any:
    """Arrays, numpy's scalars and columns as plain Python values; everything else, and what is large, as it is."""
    size = getattr(value, "size", 0)
    # The device of a tensor would have to be waited for.
    if (isinstance(size, int) and size > _MAX_VALUES) or getattr(value, "is_cuda", False):
        return value
    for name in ("tolist", "to_list"):
        convert = getattr(value, name, None)
        if callable(convert):
            return convert()
    return value
