"""Finding an inference in a request and its response, where no model hook could see the model itself.

Most POST requests are no inferences, and a sketch of a login form would be a leak. So two things must come together:

- the response says so: it has a field such as "prediction", "probability" or "score"; or the endpoint or its path says
  so ("predict", "infer", "classify", …) and the response is a scalar, one per row, or has a field such as "label";
- the body is one row of scalars, a list of rows, or holds exactly one list of rows or numbers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_PREDICTION_FIELDS: Final = ("prediction", "predictions", "predicted", "y_pred")
_PREDICTION_FIELDS_IF_NAMED_SO: Final = (
    "label",
    "labels",
    "class",
    "class_name",
    "output",
    "outputs",
    "result",
    "results",
    "value",
)
_SCORE_FIELDS: Final = ("probability", "probabilities", "proba", "score", "scores")
_SCORE_FIELDS_IF_NAMED_SO: Final = ("confidence",)
_SAID: Final = frozenset((*_PREDICTION_FIELDS, *_SCORE_FIELDS))
_NAMED_SO: Final = re.compile(
    r"(?:^|[^a-z])(?:predict|prediction|predictions|infer|inference|invoke|invocations|score|scores|classify|forecast"
    r"|estimate|detect|rank|recommend)(?:$|[^a-z])"
)
_SCALARS: Final = (str, int, float, bool, type(None))


class Exchange(NamedTuple):
    """An inference, as read from a request and its response."""

    features: list[Any]
    predictions: Any
    scores: Any


@lru_cache(maxsize=1024)
def looks_like_inference(endpoint: str, route: str) -> bool:
    """Whether an endpoint's name or path says that it predicts something."""
    return any(_NAMED_SO.search(text.lower()) is not None for text in (endpoint, route))


def inference_in(body: Any, response: Any, *, named_so: bool) -> Exchange | None:
    """The rows of the body and the predictions and scores of the response, or None if this was no inference.

    Args:
        body: Validated arguments: a pydantic model, a dict, or a list.
        response: What the endpoint returned; a `Response` is not looked into.
        named_so: The endpoint is named like one that predicts.
    """
    rows = _rows_in(body)
    if not rows:
        return None
    predictions, scores = _outputs_in(response, len(rows), named_so=named_so)
    if predictions is None and scores is None:
        return None
    return Exchange(rows, predictions, scores)


def names_prediction(fields: Iterable[str]) -> bool:
    """Whether one of these names of fields is that of a prediction or score."""
    return not _SAID.isdisjoint(fields)


def outputs_in(response: Any, rows: int, *, named_so: bool) -> tuple[Any, Any]:
    """Predictions and scores of a response to so many rows, for a caller that has found the rows itself."""
    return _outputs_in(response, rows, named_so=named_so)


def says_prediction(response: Any) -> bool:
    """Whether a response names a prediction or score, as far as one look tells; a list is judged by its first item."""
    first = response[0] if isinstance(response, list) and response else response
    fields = _fields_of(first)
    return fields is not None and _first(fields, _PREDICTION_FIELDS, _SCORE_FIELDS) is not None


# --- the request ------------------------------------------------------------------------------------------------------


def _rows_in(body: Any) -> list[Any] | None:
    fields = _fields_of(body)
    if fields is None:
        return _rows_of_list(body) if isinstance(body, list) else None
    scalars = {name: value for name, value in fields.items() if isinstance(value, _SCALARS)}
    lists = [value for value in fields.values() if isinstance(value, list)]
    if len(lists) == 1 and (rows := _rows_of_list(lists[0])):
        return rows
    if len(fields) == 1 and (inner := _fields_of(next(iter(fields.values())))) is not None:
        return _rows_in(inner)
    return [scalars] if scalars else None


def _rows_of_list(items: list[Any]) -> list[Any] | None:
    if not items:
        return None
    if all(_is_number(item) for item in items):
        return [items]
    if all(isinstance(item, list) and all(isinstance(value, _SCALARS) for value in item) for item in items):
        return items
    rows = [_fields_of(item) for item in items]
    if any(row is None for row in rows):
        return None
    return [{name: value for name, value in row.items() if isinstance(value, _SCALARS)} for row in rows if row]


def _fields_of(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return {str(name): item for name, item in value.items()}
    if hasattr(type(value), "model_fields"):
        return dict(value.__dict__)
    return None


# --- the response -----------------------------------------------------------------------------------------------------


def _outputs_in(response: Any, rows: int, *, named_so: bool) -> tuple[Any, Any]:
    fields = _fields_of(response)
    if fields is not None:
        return _outputs_in_fields(fields, rows, named_so=named_so)
    if isinstance(response, list) and len(response) == rows:
        items = [_fields_of(item) for item in response]
        if None not in items:
            return _outputs_in_items([item for item in items if item is not None], named_so=named_so)
    return (_column(response, rows), None) if named_so else (None, None)


def _outputs_in_fields(fields: dict[str, Any], rows: int, *, named_so: bool) -> tuple[Any, Any]:
    predictions = _first(fields, _PREDICTION_FIELDS, _PREDICTION_FIELDS_IF_NAMED_SO if named_so else ())
    scores = _first(fields, _SCORE_FIELDS, _SCORE_FIELDS_IF_NAMED_SO if named_so else ())
    if predictions is None and scores is None and named_so and len(fields) == 1:
        predictions = next(iter(fields.values()))
    return _column(predictions, rows), _scores(scores, rows)


def _outputs_in_items(items: list[dict[str, Any]], *, named_so: bool) -> tuple[Any, Any]:
    each = [_outputs_in_fields(item, 1, named_so=named_so) for item in items]
    predictions = [output[0] if output is not None else None for output, _ in each]
    scores = [score[0] if score is not None else None for _, score in each]
    return (
        predictions if any(value is not None for value in predictions) else None,
        scores if any(value is not None for value in scores) else None,
    )


def _first(fields: dict[str, Any], *groups: tuple[str, ...]) -> Any:
    for names in groups:
        for name in names:
            if fields.get(name) is not None:
                return fields[name]
    return None


def _column(value: Any, rows: int) -> list[Any] | None:
    """One scalar per row, or None."""
    if value is not None and isinstance(value, _SCALARS):
        return [value] if rows == 1 else None
    if isinstance(value, list) and len(value) == rows and all(isinstance(item, _SCALARS) for item in value):
        return value
    return None


def _scores(value: Any, rows: int) -> list[Any] | None:
    """One score per row, or one per row and class, or None."""
    column = _column(value, rows)
    if column is not None:
        return column if all(_is_number(item) or item is None for item in column) else None
    if rows == 1 and isinstance(value, (dict, list)) and value:
        numbers = value.values() if isinstance(value, dict) else value
        return [value] if all(_is_number(item) for item in numbers) else None
    if isinstance(value, list) and len(value) == rows and all(isinstance(item, list) for item in value):
        return value
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
