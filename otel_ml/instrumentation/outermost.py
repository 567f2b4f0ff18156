"""One flag for all frameworks: is a call already being recorded, or meant to be left alone?

A pipeline predicts through its steps, a forest through its trees, one library's wrapper through another's booster. Only
the outermost call is an inference; every hook looks here first and sets the flag while its own call runs. Training,
scoring and batch workers set it without recording.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token


class OutermostFlag:
    """A context variable that is True inside a call, with its three methods as attributes.

    A ContextVar itself cannot be pickled. Hooks are closures over this flag, and cloudpickle sends the methods of a
    class defined in `__main__` by value to joblib's worker processes: this object arrives there as that process's own.
    """

    __slots__ = ("get", "reset", "set")

    get: Callable[[], bool]
    set: Callable[[bool], Token[bool]]
    reset: Callable[[Token[bool]], None]

    def __init__(self) -> None:
        flag = ContextVar("otel_ml_inside", default=False)
        self.get = flag.get
        self.set = flag.set
        self.reset = flag.reset

    def __reduce__(self) -> str:
        return "inside"


inside = OutermostFlag()
