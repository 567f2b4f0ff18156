"""PyTorch's instrumentor, `watch`, and the places where a watched model changes form."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_ml.errors import NotWatchableError
from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.models.torch.call import take_off
from otel_ml.instrumentation.models.torch.model import WHERE, describe, read_written
from otel_ml.instrumentation.models.torch.watching import Watch, switch, watch_of, watches
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import ModulePatch, Patch
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GENERATE: Final = "generate"
_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"


def watch(model: Any, name: str | None = None, version: str = "", feature_names: Sequence[str] | None = None) -> Watch:
    """Record the calls of a `torch.nn.Module`: rows, answers, duration, and columns of inputs with two dimensions.

    Watching needs no `otel_ml.instrument()`. It ends with the model, with `remove()`, or with the block when used as
    `with watch(model):`. Watching a model that is watched already only changes what it is called.

    Args:
        model: The module that is called; also one that was or will be compiled, or wrapped by DataParallel.
        name: As in `ml.model.name`; default: as told by `set_model` or settings, else the module's class.
        version: As in `ml.model.version`; goes with `name`.
        feature_names: Names of the columns of the only input.

    Raises:
        NotWatchableError: `model` is no `torch.nn.Module`.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise NotWatchableError(f"watch: {type(model).__qualname__} is watched as what? (a torch.nn.Module is needed)")
    watched = watch_of(model)
    if watched is None:
        watched = Watch()
    watched.call_it(name, version, feature_names)
    watched.include(model)
    _switch_on()
    return watched


class TorchInstrumentor(MLInstrumentor):
    """Lets watched models be watched; switched off, it takes everything off them."""

    requires = ("torch >= 2.3",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where PyTorch replaces or copies the attribute that a watched model carries; other models pass through."""
        return (
            Patch("torch.nn.modules.module", "Module.compile", _compiled_in_place),
            Patch("torch.nn.modules.module", "Module._replicate_for_data_parallel", _replicated),
            Patch("torch._dynamo.eval_frame", "OptimizedModule.__init__", _compiled),
            Patch("torch.jit._recursive", "create_script_module", _scripted, optional=True),
            # A model that writes is called once a token; asked is it once.
            Patch("transformers.generation.utils", "GenerationMixin.generate", _generating, optional=True),
        )

    def _instrument(self, **kwargs: Any) -> None:
        super()._instrument(**kwargs)
        if self.active:
            switch(on=True)

    def _uninstrument(self, **kwargs: Any) -> None:
        super()._uninstrument(**kwargs)
        switch(on=False)


def _switch_on() -> None:
    """Watching is asking for it: unless operators said no, it does not take another call to begin."""
    disabled = {name.strip() for name in os.environ.get(_DISABLED, "").split(",")}
    instrumentor = TorchInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry and not disabled & {"*", "otel_ml_torch"}:
        instrumentor.instrument(skip_dep_check=True)


# --- patches: where watched models change form ------------------------------------------------------------------------


def _compiled_in_place(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def compile_(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        watched = watch_of(self)
        if watched is None:
            return method(self, *args, **kwargs)
        take_off(self)
        try:
            return method(self, *args, **kwargs)
        finally:
            watched.include(self)

    return compile_


def _compiled(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def __init__(self: Any, mod: Any, /, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - takes the place of one
        init(self, mod, *args, **kwargs)
        watched = watch_of(mod)
        if watched is not None:
            try:
                watched.include(self)
            except Exception as error:
                failed(WHERE, error)

    return __init__


def _scripted(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def script(nn_module: Any, /, *args: Any, **kwargs: Any) -> Any:
        # TorchScript wants to know the type of every attribute, and there is none for ours.
        watched = [(module, found) for found in set(watches.values()) for module in found.modules()]
        for module, _ in watched:
            take_off(module)
        try:
            return function(nn_module, *args, **kwargs)
        finally:
            for module, found in watched:
                found.include(module)

    return script


def _replicated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def replicate(self: Any, /) -> Any:
        replica = method(self)
        # Its attributes are the original's: a call would go there, to another device.
        take_off(replica)
        return replica

    return replicate


def _generating(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def generate(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if watch_of(self) is None or inside.get() or not TorchInstrumentor.active:
            return method(self, *args, **kwargs)
        with ObservedCall(WHERE, functools.partial(describe, self), GENERATE) as observed:
            result = method(self, *args, **kwargs)
            given = args[0] if args else kwargs.get("inputs", kwargs.get("input_ids", kwargs.get("inputs_embeds")))
            observed.read(read_written, given, result)
        return result

    return generate
