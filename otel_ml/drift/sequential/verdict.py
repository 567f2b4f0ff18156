"""What a sequential detector says after each window, and how what it remembers is read back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SequentialVerdict:
    """Where a sequential detector stands after a window.

    Attributes:
        statistic: The evidence gathered up to now.
        threshold: The evidence from which on it alarms.
        is_alarming: Whether the alarm is on.
        was_alarming: Whether it was on before this window.
    """

    statistic: float
    threshold: float
    is_alarming: bool
    was_alarming: bool

    @property
    def started(self) -> bool:
        """Whether the alarm went on with this window."""
        return self.is_alarming and not self.was_alarming

    @property
    def ended(self) -> bool:
        """Whether the alarm went off with this window."""
        return self.was_alarming and not self.is_alarming


def read_number(state: Mapping[str, Any], name: str, *, at_most: float = math.inf) -> float:
    """A number of at least 0 that `encode` once gave.

    Raises:
        ValueError: It is absent, no number, or out of range.
    """
    value = state.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= at_most:
        upper = "" if math.isinf(at_most) else f" and at most {at_most:g}"
        raise ValueError(f"state::{name}: {value!r} is not valid (a number of at least 0{upper})")
    return value


def read_flag(state: Mapping[str, Any], name: str) -> bool:
    """A truth value that `encode` once gave.

    Raises:
        ValueError: It is absent or something else.
    """
    value = state.get(name)
    if not isinstance(value, bool):
        raise ValueError(f"state::{name}: {value!r} is not valid (true or false)")  # noqa: TRY004 - as any other state
    return value
