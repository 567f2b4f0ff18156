"""BentoML's private TracerProvider, made to follow the global one; see the package for what happens in which case."""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, NoOpTracer, SpanKind

from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, Tracer

    from otel_ml.instrumentation.patch import Ledger

_SETTINGS: Final = ("sample_rate", "tracer_type")
"""Arguments of BentoML's factory that say that somebody wants its own tracing; None otherwise."""

_follows_us: ContextVar[bool | None] = ContextVar("otel_ml_bentoml_server_span", default=None)
"""Who made this request's SERVER span: BentoML through us, or (False) an instrumentation around it; None: not known."""


def follow_global_provider(module: ModuleType, ledger: Ledger, *, is_active: Callable[[], bool]) -> None:
    """Have BentoML's factory of its provider give one that follows the global provider."""
    provider = module.BentoMLContainer.tracer_provider
    # The factory's function, and not the factory's value: only when it is called is the configuration complete.
    ledger.replace(provider, "_func", _following(provider._func, is_active))  # noqa: SLF001 - nothing public asks


def _following(original: Callable[..., Any], is_active: Callable[[], bool]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def tracer_provider(*args: Any, **kwargs: Any) -> Any:
        private = original(*args, **kwargs)
        try:
            given = signature.bind(*args, **kwargs).arguments
            configured = not given.keys() >= set(_SETTINGS) or any(given[name] is not None for name in _SETTINGS)
        except Exception as error:
            failed("bentoml tracing", error)
            return private
        return private if configured else FollowingProvider(private, is_active)

    return tracer_provider


class FollowingProvider(trace.TracerProvider):
    """Gives tracers of the global provider, whenever that is set; until then those of `private`.

    Args:
        private: BentoML's own; asked for all that only a provider of the SDK has.
        is_active: False once instrumentation was undone: then it is `private` again.
    """

    def __init__(self, private: Any, is_active: Callable[[], bool]) -> None:
        self._private = private
        self._is_active = is_active

    def get_tracer(self, *args: Any, **kwargs: Any) -> Tracer:
        """A tracer that follows as well."""

        def tracer_of(provider: trace.TracerProvider) -> Tracer | None:
            if type(provider).__module__.startswith("opentelemetry.trace"):
                return None  # the API's, which makes no spans
            tracer = provider.get_tracer(*args, **kwargs)
            # Spans of a disabled SDK have the parent's id or none: BentoML's request ids need one each.
            return None if isinstance(tracer, NoOpTracer) else tracer

        return _FollowingTracer(tracer_of, self._private.get_tracer(*args, **kwargs), self._is_active)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._private, name)


class _FollowingTracer(trace.Tracer):
    def __init__(
        self,
        tracer_of: Callable[[trace.TracerProvider], Tracer | None],
        private: Tracer,
        is_active: Callable[[], bool],
    ) -> None:
        self._tracer_of = tracer_of
        self._private = private
        self._is_active = is_active
        self._provider: Any = None
        self._global: Tracer | None = None

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        *args: Any,
        **kwargs: Any,
    ) -> Span:
        """A span of the global provider's; what stands for one where another instrumentation has it already."""
        tracer = self._tracer()
        if tracer is None:
            return self._private.start_span(name, context, kind, *args, **kwargs)
        current = trace.get_current_span(context)
        follows = _follows_us.get()
        if kind is SpanKind.SERVER:
            _follows_us.set(True)
        elif follows is None and getattr(current, "kind", None) is SpanKind.SERVER:
            # Called inside of a SERVER span, BentoML's middleware adds an INTERNAL one for the same request.
            follows = False
            _follows_us.set(False)
        if follows is False and kind is SpanKind.INTERNAL:
            return _StandIn(current.get_span_context())
        span = tracer.start_span(name, context, kind, *args, **kwargs)
        # A span that is not sampled lacks an attribute that BentoML's middleware reads without looking.
        return span if hasattr(span, "context") else _StandIn(span.get_span_context())

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # the API's kind of context manager is private
        self,
        name: str,
        *args: Any,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
        **kwargs: Any,
    ) -> Iterator[Span]:
        """As `start_span`, current for the block."""
        span = self.start_span(
            name,
            *args,
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
            **kwargs,
        )
        with trace.use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span

    def _tracer(self) -> Tracer | None:
        """The global provider's; None while BentoML's own is to be used."""
        if not self._is_active():
            return None
        try:
            provider = trace.get_tracer_provider()
            if provider is not self._provider:
                self._global = self._tracer_of(provider)
                self._provider = provider
        except Exception as error:
            failed("bentoml tracing", error)
            return None
        return self._global


class _StandIn(NonRecordingSpan):
    """In place of a span that is made elsewhere or not at all: gives its context on, and records nothing."""

    @property
    def context(self) -> SpanContext:
        """What BentoML takes its request id from."""
        return self.get_span_context()
