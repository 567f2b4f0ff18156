"""What the server layer knows about the request that is being served; set by it, read by `record()` and model hooks."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from otel_ml.recording.inference import ModelInfo


class RequestScope(Protocol):
    """One request, as far as recording is concerned."""

    prediction_id: str | None
    """Id under which the request's predictions are reported when the caller gives none."""

    def recorded(self, model: ModelInfo) -> None:
        """An explicit `otel_ml.record()` was made in this request: hooks shall not record the same once more."""


request_scope: ContextVar[RequestScope | None] = ContextVar("otel_ml_request_scope", default=None)
