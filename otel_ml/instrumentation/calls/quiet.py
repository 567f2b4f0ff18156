"""Calls that are no inferences themselves, and in which none are made: training, scoring, validation.

Whatever these hooks refer to can be pickled by name: cloudpickle sends methods of a class defined in `__main__` by
value to worker processes.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final, cast

from otel_ml.instrumentation import identity
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import ModulePatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, FunctionType, ModuleType

    from otel_ml.instrumentation.patch import Ledger


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, in which no call of a model is an inference."""

    @functools.wraps(function)
    def hook(*args: Any, **kwargs: Any) -> Any:
        if inside.get():  # as in the steps of a pipeline that is being recorded
            return function(*args, **kwargs)
        outer = inside.set(True)
        try:
            return function(*args, **kwargs)
        finally:
            inside.reset(outer)

    return hook


def training(method: Callable[..., Any]) -> Callable[..., Any]:
    """A quiet method after which its model is described anew: its columns and classes may have changed."""
    forget = identity.forget

    @functools.wraps(method)
    def hook(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        outer = inside.set(True)
        try:
            return method(self, *args, **kwargs)
        finally:
            inside.reset(outer)
            forget(self)

    return hook


def quiet_functions(names: Sequence[str], modules: Sequence[str]) -> tuple[ModulePatch, ...]:
    """Patches that make functions quiet in every module that has them under their own name.

    A package imports its functions from where they are defined: depending on what was imported when, it gets the
    original or the hook. Either way each module ends with one hook, and undone with the original.
    """

    def replace(module: ModuleType, ledger: Ledger) -> None:
        for name in names:
            function = vars(module).get(name)
            if function is not None:
                original = inspect.unwrap(function, stop=_is_no_hook)
                ledger.replace(module, name, quiet(original), original=original)

    return tuple(ModulePatch(module, ", ".join(names), replace) for module in modules)


def code_of(function: Callable[..., Any]) -> CodeType:
    """By which a hook is told from the user's functions: functools.wraps copies any mark on to foreign wrappers."""
    return cast("FunctionType", function).__code__


_QUIET: Final = code_of(quiet(lambda: None))


def _is_no_hook(function: Any) -> bool:
    return getattr(function, "__code__", None) is not _QUIET
