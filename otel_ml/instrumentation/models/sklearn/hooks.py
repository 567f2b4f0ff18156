"""scikit-learn: every estimator, also those of XGBoost and LightGBM, that others write, and that are unpickled.

What counts as an inference: the outermost `predict`, `predict_proba`, `predict_log_proba`, `decision_function` or
`score_samples`. Training, scoring, cross-validation and a transformer's own `transform` are no inferences, and neither
are the calls they make. What is not seen: classes with a `predict` that do not inherit `BaseEstimator`, methods bound
before `instrument()`, and methods set on a class afterwards.
"""

from __future__ import annotations

import functools
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, cast

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.model_call import NotGiven, call, call_model
from otel_ml.instrumentation.calls.quiet import code_of, quiet, training
from otel_ml.instrumentation.models.sklearn.model import ADAPTOR, explains
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import ABSENT, ModulePatch, Patch
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from otel_ml.instrumentation.patch import Ledger

RECORDED: Final = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples")
TRAINING: Final = ("fit", "partial_fit", "fit_predict", "fit_transform")
QUIET: Final = ("score", "transform", "inverse_transform")
STAGED: Final = ("staged_predict", "staged_predict_proba", "staged_decision_function", "staged_score")
_TRANSFORMS: Final = ("transform", "fit_transform")
"""Methods that `_SetOutputMixin.__init_subclass__` wraps itself when a class is made."""

_LAZY = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class SklearnInstrumentor(MLInstrumentor):
    """Records what scikit-learn models are asked and what they answer."""

    requires = ("scikit-learn >= 1.5",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """All classes of estimators, present and future, and the two places that call them on their own behalf."""
        return (
            ModulePatch("sklearn.base", "BaseEstimator", _wrap_all_estimators),
            # joblib's threads start without context variables: 1 call of a forest would count once per batch of trees.
            Patch("sklearn.utils.parallel", "_FuncWrapper.__call__", quiet),
            # Metrics of a model on a validation set are no predictions for anyone.
            Patch("sklearn.metrics._scorer", "_BaseScorer.__call__", quiet, optional=True),
            Patch("sklearn.metrics._scorer", "_MultimetricScorer.__call__", quiet, optional=True),
        )


# --- hooks ------------------------------------------------------------------------------------------------------------
# Plain closures: they stand on the hot path and must look like functions to scikit-learn. Whatever they refer to can be
# pickled by name, because cloudpickle sends a class defined in `__main__` by value to joblib's worker processes. There,
# and after `uninstrument()`, the hooks that remain pass every call through.


def _recording(method: Callable[..., Any], operation: str) -> Callable[..., Any]:
    # The usual call is spelled out: passing *args and **kwargs on costs 0.2 µs, and a forest has many trees.
    @functools.wraps(method)
    def hook(self: Any, features: Any = NotGiven, /, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not SklearnInstrumentor.active:
            if args or kwargs or features is NotGiven:
                return call(method, self, features, args, kwargs)
            return method(self, features)
        if kwargs and explains(kwargs):
            return call(method, self, features, args, kwargs)
        return call_model(ADAPTOR, operation, method, self, features, args, kwargs)

    return hook


def _quiet_steps(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(method)
    def hook(self: Any, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        steps = method(self, *args, **kwargs)
        while True:
            # Set for each step anew: nothing may stay set in the caller's context across a yield.
            outer = inside.set(True)
            try:
                step = next(steps)
            except StopIteration:
                return
            finally:
                inside.reset(outer)
            yield step

    return hook


_KINDS: Final[dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]]] = {
    **{name: functools.partial(_recording, operation=name) for name in RECORDED},
    **dict.fromkeys(TRAINING, training),
    **dict.fromkeys(QUIET, quiet),
    **dict.fromkeys(STAGED, _quiet_steps),
}


_HOOKS: Final = frozenset(code_of(wrap(lambda: None)) for wrap in _KINDS.values())
"""Hooks are told from the user's functions by their code: functools.wraps copies any mark on to foreign wrappers."""


# --- classes ----------------------------------------------------------------------------------------------------------


def _wrap_all_estimators(module: ModuleType, ledger: Ledger) -> None:
    base: type = module.BaseEstimator
    set_output: type | None = getattr(module, "_SetOutputMixin", None)

    # `_SetOutputMixin` wraps the transforms of a new class itself. They are left until it has: inside its wrapper our
    # hook could not be taken out again.
    def wrap_new_estimator(cls: type) -> None:
        if set_output is not None and issubclass(cls, set_output):
            _wrap_class(cls, ledger, skip=_TRANSFORMS)
        else:
            _wrap_class(cls, ledger)

    def wrap_new_transformer(cls: type) -> None:
        if issubclass(cls, base):
            _wrap_class(cls, ledger)

    _after_subclassing(base, wrap_new_estimator, ledger)
    if set_output is not None:
        _after_subclassing(set_output, wrap_new_transformer, ledger)
    for cls in _subclasses(base):
        _attempt(lambda cls: _wrap_class(cls, ledger), cls)


def _after_subclassing(owner: Any, then: Callable[[type], None], ledger: Ledger) -> None:
    """Make `owner.__init_subclass__` call `then` with each new class, after its own work."""
    original: Any = vars(owner).get("__init_subclass__", ABSENT)

    def __init_subclass__(cls: Any, /, **kwargs: Any) -> None:  # noqa: N807 - takes the place of one
        if original is ABSENT:
            super(owner, cls).__init_subclass__(**kwargs)
        else:
            original.__func__(cls, **kwargs)
        if ledger.open:
            _attempt(then, cls)

    ledger.replace(owner, "__init_subclass__", classmethod(__init_subclass__))


def _attempt(then: Callable[[type], None], cls: type) -> None:
    try:
        then(cls)
    except Exception as error:
        failed(f"hooking {cls.__module__}.{cls.__qualname__}", error)


def _subclasses(base: type) -> Iterator[type]:
    seen = {base}
    waiting: list[type] = [base]
    while waiting:
        classes: list[type] = type.__subclasses__(waiting.pop())
        for cls in classes:
            if cls not in seen:
                seen.add(cls)
                waiting.append(cls)
                yield cls


def _wrap_class(cls: type, ledger: Ledger, skip: Sequence[str] = ()) -> None:
    # All of the MRO: mixins such as LinearClassifierMixin bring `predict` and are no BaseEstimators.
    for owner in cls.__mro__:
        for name in _KINDS.keys() & vars(owner).keys():
            if name not in skip:
                _wrap_method(owner, name, ledger)


def _wrap_method(owner: type, name: str, ledger: Ledger) -> None:
    attribute = vars(owner)[name]
    if isinstance(attribute, FunctionType):
        _wrap_function(owner, name, attribute, name, ledger)
    elif type(attribute).__name__ == "_AvailableIfDescriptor" and isinstance(attribute.fn, FunctionType):
        # The descriptor decides whether the method is there at all, so it stays and only its function is exchanged.
        _wrap_function(attribute, "fn", attribute.fn, name, ledger)


def _wrap_function(owner: Any, attribute: str, function: FunctionType, method: str, ledger: Ledger) -> None:
    if function.__code__ in _HOOKS:
        if ledger.covers(owner, attribute):
            return
        # Borrowed from a class that has its hook already, as in `predict_proba = available_if(…)(Other.predict_proba)`:
        # it gets a hook of its own, so that undoing leads to the original here as well.
        function = cast("FunctionType", inspect.unwrap(function, stop=lambda layer: layer.__code__ not in _HOOKS))
    lazy = bool(function.__code__.co_flags & _LAZY)
    if lazy == (method in STAGED):
        ledger.replace(owner, attribute, _KINDS[method](function), original=function)
