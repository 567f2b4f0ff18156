"""Our failures stay ours: counted, said once, never raised into the user's code."""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")
R = TypeVar("R")

_REPEAT_AFTER_S = 600.0
"""A failure that goes on is said again this often: enough to be found, too seldom to fill a disk."""

_logger = logging.getLogger("otel_ml")
_counts: Counter[str] = Counter()
_last_said: dict[str, float] = {}


def failed(where: str, error: BaseException) -> None:
    """Count a failure of ours and, rarely, say it.

    Args:
        where: What failed, in a few fixed words: "columnarising", "sklearn hook". Never a value.
        error: What was raised.
    """
    try:
        _counts[where] += 1
        now = time.monotonic()
        last = _last_said.get(where)
        if last is None or now - last >= _REPEAT_AFTER_S:
            _last_said[where] = now
            _logger.warning(
                "otel-ml: %s failed (%d so far), serving goes on: %s: %s",
                where,
                _counts[where],
                type(error).__name__,
                error,
                exc_info=(type(error), error, error.__traceback__) if _logger.isEnabledFor(logging.DEBUG) else None,
            )
    except Exception:  # noqa: S110 - a user's log handler that raises must not break the user's request either
        pass


def warn_once(subject: str, message: str) -> None:
    """Say something the user should know, once per process."""
    if subject not in _last_said:
        _last_said[subject] = float("inf")
        _logger.warning("otel-ml: %s", message)


def guarded(where: str) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """A decorator after which a function returns None where it would have raised."""

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                failed(where, error)
                return None

        return call

    return decorate


def failures() -> Mapping[str, int]:
    """How often each part of ours failed in this process."""
    return dict(_counts)


def reset() -> None:
    """Forget what was counted and said: for tests, and for a forked child."""
    _counts.clear()
    _last_said.clear()
