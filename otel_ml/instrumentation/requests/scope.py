"""The request around model calls: its id, its route, and what was recorded in it so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.requests.prediction_id import acceptable_id, id_from_headers, new_prediction_id
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.trace import SpanContext

    from otel_ml.recording.inference import ModelInfo
    from otel_ml.sketch.feature import ModelKey


class ModelCalls:
    """What one model was asked about one input within one request: its features must be counted only once.

    Attributes:
        features: The input itself. Held, so that its identity cannot pass to another object.
        operations: Methods called on that input.
        number: How many inferences of this model came before in the request.
        again: The last call was another method on the same input: it adds its output and no features.
    """

    __slots__ = ("again", "features", "number", "operations")

    def __init__(self, features: Any, operation: str) -> None:
        self.features = features
        self.operations: tuple[str, ...] = (operation,)
        self.number = 0
        self.again = False

    def prediction_id(self, scope: InferenceScope) -> str | tuple[str, ...] | None:
        """The request's id, or in a batch each row's; "<id>.1", "<id>.2", … for later inferences of the same model."""
        if scope.row_ids is not None:
            ids = tuple(scope.row_ids)
            return tuple(f"{row_id}.{self.number}" for row_id in ids) if self.number else ids
        request_id = scope.prediction_id
        return f"{request_id}.{self.number}" if self.number else request_id


FIRST: Final = ModelCalls(None, "")
"""Stands for the only call so far: most requests never have another, and none of them needs an object of its own."""


class InferenceScope:
    """A request that is served, or a batch of them; opened by a server's hook, seen by model hooks and `record()`.

    Args:
        headers: Pairs of name and value, as text or bytes, as the server has them: read only when the id is asked for.

    Attributes:
        route: Template of the path, such as "/predict/{version}"; empty until routing has happened.
        method: The HTTP method.
        count: Inferences recorded in this request so far, by whichever layer.
        fallback: Records request and response themselves; called on closing if nothing else was recorded.
        announced: The fallback will find an inference, as far as can be told before it has looked.
        closed: The request is over. Tasks it left behind (a batcher started by the first request, say) inherited this
            scope and must not go on reporting under its id.
        links: Spans of the requests a batch is made of; empty for a single request.
        row_ids: One id per row of a batch.
        segments: What the request's rows are told apart by.
        members: Scopes of the requests a batch is made of: what the batch records counts for each of them.
    """

    __slots__ = (
        "_explicit",
        "_first",
        "_headers",
        "_id",
        "_models",
        "announced",
        "closed",
        "count",
        "fallback",
        "links",
        "members",
        "method",
        "route",
        "row_ids",
        "segments",
    )

    def __init__(
        self,
        method: str = "",
        headers: Iterable[tuple[Any, Any]] = (),
        *,
        route: str = "",
        prediction_id: str | None = None,
    ) -> None:
        self.method = method
        self.route = route
        self.count = 0
        self.fallback: Callable[[], None] | None = None
        self.announced = False
        self.closed = False
        self.links: Sequence[SpanContext] = ()
        self.row_ids: Sequence[str] | None = None
        self.members: Sequence[InferenceScope] = ()
        self.segments: dict[str, Any] | None = None
        self._headers = headers
        self._id = prediction_id
        self._first: tuple[ModelInfo, str, Any] | None = None
        self._models: dict[ModelInfo, ModelCalls] | None = None
        self._explicit: set[ModelKey] | None = None

    @property
    def prediction_id(self) -> str | None:
        """Id of the request: the one set here, else x-request-id, else ce-id, else a new UUIDv7; None once closed."""
        if self.closed:
            return None
        if self._id is None:
            self._id = id_from_headers(self._headers) or new_prediction_id()
        return self._id

    @prediction_id.setter
    def prediction_id(self, value: str | None) -> None:
        self._id = value

    def prefer_id(self, value: Any) -> None:
        """Take the id that the body gives, if it is fit to be one: it goes before those of the headers."""
        if isinstance(value, str) and (text := acceptable_id(value)):
            self._id = text

    def recorded(self, model: ModelInfo) -> None:
        """The user's own `record()` counts for this model: from here on hooks leave it alone in this request."""
        if self._explicit is None:
            self._explicit = set()
        self._explicit.add(model.key)
        self.counted()

    def counted(self) -> None:
        """Something was recorded in this request, or in the batch it is part of."""
        self.count += 1
        for member in self.members:
            member.count += 1

    def admit(self, model: ModelInfo, operation: str, features: Any) -> ModelCalls | None:
        """Say how a finished model call counts; None when it does not, because the user recorded it.

        `predict` and `predict_proba` on the same input are one inference. The same method again, or another input, is a
        new inference: a reused buffer may hold other values by now.
        """
        if self._explicit is not None and model.key in self._explicit:
            return None
        self.count += 1
        for member in self.members:
            member.count += 1
        if self._first is None:
            self._first = (model, operation, features)
            return FIRST
        if self._models is None:
            first, first_operation, first_features = self._first
            self._models = {first: ModelCalls(first_features, first_operation)}
        calls = self._models.get(model)
        if calls is None:
            self._models[model] = calls = ModelCalls(features, operation)
        elif calls.features is features and features is not None and operation not in calls.operations:
            calls.operations += (operation,)
            calls.again = True
        else:
            calls.features = features
            calls.operations = (operation,)
            calls.number += 1
            calls.again = False
        return calls

    def close(self) -> None:
        """End the request: record the fallback if nothing else was recorded, and let go of every input."""
        fallback, self.fallback = self.fallback, None
        try:
            if fallback is not None and self.count == 0:
                fallback()
        finally:
            self.closed = True
            self._first = self._models = self.segments = None
            self.members = ()


def current_scope() -> InferenceScope | None:
    """The request being served in this context, unless it is over."""
    scope = request_scope.get()
    if isinstance(scope, InferenceScope) and not scope.closed:
        return scope
    return None


def current_prediction_id() -> str | None:
    """Id of the request being served in this context, as its response's header gives it; None outside of requests."""
    scope = current_scope()
    return scope.prediction_id if scope is not None else None


def set_segments(segments: Mapping[str, Any]) -> None:
    """Tell the rows of the request being served apart, by {"country": "NO"} say; outside of requests nothing happens.

    Each segment is summarised on its own, beside the whole: up to 5 dimensions, 100 segments per model.
    """
    scope = current_scope()
    if scope is not None:
        scope.segments = {**(scope.segments or {}), **segments}
