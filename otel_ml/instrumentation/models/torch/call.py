"""The attribute that a watched model carries, and the call that it records."""

from __future__ import annotations

import functools
import sys
import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.calls.model_call import call_model
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.models.torch.model import (
    ADAPTOR,
    PLACE,
    WHERE,
    describe,
    features_of_call,
    is_left_alone,
    parameters,
    read_late,
)
from otel_ml.instrumentation.outermost import inside
from otel_ml.recording.guard import failed, guarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_ml.instrumentation.models.torch.model import Told

FORWARD: Final = "forward"


class WatchedCall:
    """Stands where `Module.__call__` looks for a compiled implementation, and calls what was there before.

    Copied or pickled it becomes None, which is what stands there in a module that nobody watches.
    """

    __slots__ = ("_is_compiling", "_module", "_pause_compiler", "before", "names", "told")

    def __init__(self, module: Any, before: Any, told: Told) -> None:
        torch = sys.modules["torch"]
        self.before = before
        self.told = told
        self.names = parameters(module)
        self._module = weakref.ref(module)
        self._is_compiling = torch.compiler.is_compiling
        self._pause_compiler = torch._C._dynamo.eval_frame.set_eval_frame  # noqa: SLF001 - torch.compiler.disable is built on it, and cannot be undone within

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    def __deepcopy__(self, _: object) -> None:
        return None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """The model's answer."""
        # This frame is passed over by torch.compile (see `_keep_compiler_out`), which would go on with those of
        # OpenTelemetry below: so it is paused here, except while the model itself runs.
        call = self.before
        if call is None:
            call = self._module()._call_impl  # type: ignore[union-attr]  # noqa: SLF001 - as Module.__call__ does; it is alive, for it is being called
        if self._is_compiling() or inside.get():
            return call(*args, **kwargs)
        compiler = self._pause_compiler(None)
        if compiler is None:
            return _observed(self, self._module(), call, args, kwargs)
        try:
            return _observed(self, self._module(), self._with_compiler(compiler, call), args, kwargs)
        finally:
            self._pause_compiler(compiler)

    def _with_compiler(self, compiler: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def compiling(*args: Any, **kwargs: Any) -> Any:
            self._pause_compiler(compiler)
            try:
                return call(*args, **kwargs)
            finally:
                self._pause_compiler(None)

        return compiling


def _observed(
    watched: WatchedCall, module: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        if is_left_alone(module, args):
            return_early, features = True, None
        else:
            return_early, features = False, features_of_call(args, kwargs, watched.names)
    except Exception as error:
        failed(WHERE, error)
        return_early, features = True, None
    if return_early:
        return call(*args, **kwargs)
    if features is None:
        with ObservedCall(WHERE, functools.partial(describe, module), FORWARD) as observed:
            result = call(*args, **kwargs)
            observed.read(read_late, result)
        return result

    def run(_: object, __: object, /, *args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    return call_model(ADAPTOR, FORWARD, run, module, features, args, kwargs)


def put_on(module: Any, told: Told) -> None:
    """Have the module's calls recorded; again does nothing."""
    before = vars(module).get(PLACE)
    if type(before) is not WatchedCall:
        _keep_compiler_out()
        # Not by setattr: compiled and scripted modules pass that on to others.
        vars(module)[PLACE] = WatchedCall(module, before, told)


def take_off(module: Any) -> None:
    """Leave the module as it was; again does nothing."""
    watched = vars(module).get(PLACE)
    if type(watched) is WatchedCall:
        del vars(module)[PLACE]
        if watched.before is not None:
            vars(module)[PLACE] = watched.before


@functools.lru_cache(maxsize=1)
@guarded("keeping torch.compile out of the torch hook")
def _keep_compiler_out() -> None:
    """Have torch.compile pass over the frame of a watched call and go on with the model's own frames below."""
    frames = sys.modules["torch"]._C._dynamo.eval_frame  # noqa: SLF001 - `torch.compiler.disable(recursive=False)` would break a graph wherever such a call is inlined
    code = WatchedCall.__call__.__code__
    if hasattr(frames, "skip_code"):  # before PyTorch 2.6
        frames.skip_code(code)
    else:
        action = frames._FrameAction  # noqa: SLF001 - the same
        strategy = frames._FrameExecStrategy(action.SKIP, action.DEFAULT)  # noqa: SLF001 - the same
        frames.set_code_exec_strategy(code, strategy)
