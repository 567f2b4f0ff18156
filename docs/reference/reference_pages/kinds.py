"""What may stand behind a setting, in words."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from reference_pages.markdown import code, number

# Values that functions of ours read, by the name of the function.
_READ_BY: Final = {
    "parse_duration": "duration",
    "_positive_duration": "duration above 0",
    "parse_address": "address",
    "parse_target": "endpoint",
    "parse_span": "number of windows, duration, or `off`",
    "_token": "text",
}
_PLAIN: Final = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", SecretStr: "text"}


def kind_of(setting: FieldInfo) -> str:
    """The kind of a pydantic setting, with the bounds that it has."""
    return _kind(setting.annotation, setting.metadata)


def kind_of_type(annotation: Any) -> str:
    """The same of a type alone."""
    return _kind(annotation, ())


def _kind(annotation: Any, metadata: Sequence[Any]) -> str:
    for part in metadata:
        if (name := getattr(getattr(part, "func", None), "__name__", "")) in _READ_BY:
            return _READ_BY[name]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0], (*inner[1:], *metadata))
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(one, metadata) for one in inner if one is not type(None))
    if origin is Literal:
        return ", ".join(code(str(choice)) for choice in inner)
    if origin is tuple:
        return f"list of {_kind(inner[0], ())}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping to {_kind(inner[1], ())}"
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or issubclass(annotation, Mapping)):
        return "settings"
    return _PLAIN.get(annotation, "anything") + _bounds(metadata)


def _bounds(metadata: Sequence[Any]) -> str:
    """What stands behind the kind: " from 1 to 64"."""
    low = high = ""
    for part in metadata:
        if isinstance(part, annotated_types.Ge):
            low = f" from {number(part.ge)}"
        elif isinstance(part, annotated_types.Gt):
            low = f" above {number(part.gt)}"
        elif isinstance(part, annotated_types.Le):
            high = f" to {number(part.le)}"
        elif isinstance(part, annotated_types.Lt):
            high = f" below {number(part.lt)}"
    if low and high:
        is_range = low.startswith(" from") and high.startswith(" to")
        return low + high if is_range else f"{low},{high.replace(' to ', ' up to ')}"
    return f"{low} on" if low.startswith(" from") else low or high.replace(" to ", " up to ")
