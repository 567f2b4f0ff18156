"""A call of a model that a hook watches itself: because it is awaited, streams, or is a server's and not an object's.

`call_model` is the same for the plain method call, written out for speed. Both give one span, one Inference, one count.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from otel_ml.instrumentation.calls.model_call import rows_of
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.suppression import suppressed
from otel_ml.recording import spans
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import Inference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from otel_ml.config import Settings
    from otel_ml.recording.inference import ModelInfo


class ObservedCall:
    """`with ObservedCall(…) as call:` around the model's own code, then `call.returned(…)` inside of it.

    Model hooks inside are quiet, whatever they belong to. Leaving with an exception records a call that failed, and
    lets the exception pass. Nothing here raises; what cannot be described is not recorded.

    Args:
        where: For messages: "kserve hook".
        describe: settings → what is known about the model; None leaves the call alone.
        operation: "predict", "infer", …
        features: What goes in, if that is known already; `returned` may say it later.
    """

    __slots__ = (
        "_abandoned",
        "_begun",
        "_describe",
        "_features",
        "_info",
        "_operation",
        "_outer",
        "_outputs",
        "_span",
        "_where",
    )

    def __init__(
        self, where: str, describe: Callable[[Settings], ModelInfo | None], operation: str, features: Any = None
    ) -> None:
        self._where = where
        self._describe = describe
        self._operation = operation
        self._features = features
        self._info: ModelInfo | None = None
        self._outer: Token[bool] | None = None
        self._span: Any = None
        self._outputs: Any = None
        self._begun = 0.0
        self._abandoned = False

    def __enter__(self) -> ObservedCall:
        try:
            recorder = the_recorder()
            if inside.get() or not recorder.enabled or suppressed():
                return self
            self._info = info = self._describe(recorder.settings)
            if info is None:
                return self
            self._outer = inside.set(True)
            if recorder.settings.spans and spans.tracing():
                scope = current_scope()
                links = scope.links if scope is not None else ()
                self._span = spans.start(info, self._operation, rows_of(self._features), links)
            info.active += 1
        except Exception as error:
            failed(self._where, error)
        self._begun = perf_counter()
        return self

    @property
    def is_recorded(self) -> bool:
        """False for a call that is left alone: nothing needs to be read for it."""
        return self._info is not None

    def returned(
        self,
        predictions: Any = None,
        scores: Any = None,
        *,
        features: Any = None,
        segments: Mapping[str, Any] | None = None,
        prediction_id: Any = None,
    ) -> None:
        """Say what the call gave, and, where only now known, what it was asked.

        Args:
            prediction_id: For the call or one per row; by default the request's.
        """
        self._outputs = (predictions, scores, features, segments, prediction_id)

    def read(self, outputs: Callable[..., tuple[Any, Any, Any]], *args: Any) -> None:
        """As `returned`, with features, predictions and scores read by `outputs(*args)`, whose failure is ours."""
        if self._info is None:
            return
        try:
            features, predictions, scores = outputs(*args)
            self.returned(predictions, scores, features=features)
        except Exception as error:
            failed(self._where, error)

    def abandon(self) -> None:
        """It was no call after all, such as asking an iterator that has no more: nothing of it is recorded."""
        self._abandoned = True

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        info = self._info
        if info is None:
            return
        duration_s = perf_counter() - self._begun
        try:
            info.active -= 1
            if self._outer is not None:
                _reset(self._outer)
            if self._abandoned:
                spans.drop(self._span)
                return
            if isinstance(error, GeneratorExit):
                error = None  # the reader of a stream went away: that is no failure of the model
            self._submit(info, duration_s, error)
        except Exception as failure:
            failed(self._where, failure)

    def _submit(self, info: ModelInfo, duration_s: float, error: BaseException | None) -> None:
        recorder = the_recorder()
        scope = current_scope()
        operation = self._operation
        if error is not None:
            spans.end(self._span, error)
            if scope is not None:
                scope.counted()
            error_type, context = spans.error_type_of(error), spans.context_of(self._span)
            recorder.submit(
                Inference(info, operation, None, duration_s=duration_s, error_type=error_type, span_context=context)
            )
            return
        predictions, scores, features, segments, own_id = self._outputs or (None, None, None, None, None)
        features = self._features if features is None else features
        if self._outputs is None:
            spans.end(self._span)
            return
        if scope is not None:
            count = scope.admit(info, operation, features)
            if count is None:
                spans.end(self._span)
                return
            if count.again:
                features = None
            if own_id is None:
                own_id = count.prediction_id(scope)
        spans.end(self._span, prediction_id=own_id)
        recorder.submit(
            Inference(
                info,
                operation,
                features,
                predictions,
                scores,
                duration_s,
                None,
                own_id,
                spans.context_of(self._span),
                0,
                segments or (scope.segments if scope is not None else None),
            )
        )


def _reset(token: Token[bool]) -> None:
    try:
        inside.reset(token)
    except ValueError:
        return  # left from another context than entered: a stream that was thrown away
