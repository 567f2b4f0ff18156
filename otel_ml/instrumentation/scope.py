"""The request around model calls: its id, its route, and what was recorded in it so far."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any, Final

from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_ml.recording.inference import ModelInfo
    from otel_ml.sketch.feature import ModelKey

_ID_HEADERS: Final = (b"x-request-id", b"ce-id")
"""Headers that name a request, in order of precedence: the de-facto standard, then a CloudEvent's id."""
_MAX_ID_LENGTH: Final = 128

# Not the module-level generator: ids must neither follow a user's random.seed() nor shift the numbers it gives them.
_random = random.Random()  # noqa: S311 - ids, not secrets
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


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

    def prediction_id(self, scope: InferenceScope) -> str | None:
        """The request's id; "<id>.1", "<id>.2", … for later inferences of the same model."""
        request_id = scope.prediction_id
        return f"{request_id}.{self.number}" if self.number else request_id


class InferenceScope:
    """A request that is being served; opened by a server's hook, seen by model hooks and by `otel_ml.record()`.

    Attributes:
        route: Template of the path, such as "/predict/{version}"; empty until routing has happened.
        method: The HTTP method.
        count: Inferences recorded in this request so far, by whichever layer.
        fallback: Records request and response themselves; called on closing if nothing else was recorded.
        closed: The request is over. Tasks it left behind (a batcher started by the first request, say) inherited this
            scope and must not go on reporting under its id.
    """

    __slots__ = ("_explicit", "_headers", "_id", "_models", "closed", "count", "fallback", "method", "route")

    def __init__(self, *, method: str = "", route: str = "", headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.method = method
        self.route = route
        self.count = 0
        self.fallback: Callable[[], None] | None = None
        self.closed = False
        self._headers = headers
        self._id: str | None = None
        self._models: dict[ModelInfo, ModelCalls] = {}
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

    def recorded(self, model: ModelInfo) -> None:
        """The user's own `record()` counts for this model: from here on hooks leave it alone in this request."""
        if self._explicit is None:
            self._explicit = set()
        self._explicit.add(model.key)
        self.count += 1

    def admit(self, model: ModelInfo, operation: str, features: Any) -> ModelCalls | None:
        """Say how a finished model call counts; None when it does not, because the user recorded it.

        `predict` and `predict_proba` on the same input are one inference. The same method again, or another input, is a
        new inference: a reused buffer may hold other values by now.
        """
        if self._explicit is not None and model.key in self._explicit:
            return None
        self.count += 1
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
            self._models.clear()


def current_scope() -> InferenceScope | None:
    """The request being served in this context, unless it is over."""
    scope = request_scope.get()
    if isinstance(scope, InferenceScope) and not scope.closed:
        return scope
    return None


def id_from_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The id a caller gave in ASGI headers, if it is short and printable; else None."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ID_HEADERS and name not in found:
            found[name] = value
    for name in _ID_HEADERS:
        text = found.get(name, b"")[: _MAX_ID_LENGTH + 1].decode("latin-1").strip()
        if text and len(text) <= _MAX_ID_LENGTH and text.isascii() and text.isprintable():
            return text
    return None


def new_prediction_id() -> str:
    """A UUIDv7 (RFC 9562): ids sort by time, which keeps a store of them compact."""
    milliseconds = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF
    bits = _random.getrandbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
