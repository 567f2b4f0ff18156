"""pydantic's errors in our words: where, what, what would be valid, and what was perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from collector_processor.errors import Problem
from collector_processor.settings import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def validate(model: type[SettingsT], raw: object, path: tuple[str, ...], problems: list[Problem]) -> SettingsT | None:
    """The settings in `raw`, or None after adding what is wrong to `problems`; nothing at all means defaults."""
    try:
        return model.model_validate({} if raw is None else raw)
    except ValidationError as error:
        problems.extend(_problem(model, details, path) for details in error.errors(include_url=False))
        return None


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """The end of a sentence that names the closest valid word, or nothing."""
    close = difflib.get_close_matches(word, list(valid), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _problem(model: type[BaseModel], details: ErrorDetails, path: tuple[str, ...]) -> Problem:
    location = tuple(str(part) for part in details["loc"])
    return Problem(path + location, _what(model, details, location))


def _what(model: type[BaseModel], details: ErrorDetails, location: Sequence[str]) -> str:
    kind, given = details["type"], repr(details["input"])
    if kind == "extra_forbidden":
        valid = sorted(_model_at(model, location[:-1]).model_fields)
        return f"unknown setting (valid settings: {', '.join(valid)}){did_you_mean(location[-1], valid)}"
    if kind == "missing":
        return "is missing (it has no default)"
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind in _EXPECTED:
        return f"{given} is not valid ({_EXPECTED[kind]})"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{given} is not valid ({words} {details['ctx'][bound]})"
    if kind == "literal_error":
        valid = [word.strip(" '") for word in details["ctx"]["expected"].replace(" or ", ",").split(",")]
        return f"unknown value {given} (valid values: {', '.join(valid)}){did_you_mean(str(details['input']), valid)}"
    return f"{given} is not valid ({details['msg'][0].lower()}{details['msg'][1:]})"


def _model_at(model: type[BaseModel], location: Sequence[str]) -> type[BaseModel]:
    """The model that describes the mapping at a location."""
    for name in location:
        field = model.model_fields.get(name)
        found = _model_in(field.annotation) if field else None
        if found is None:
            return model
        model = found
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
