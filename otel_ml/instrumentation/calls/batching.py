"""Batches made of several requests: each keeps its own id and trace, none becomes everybody's parent.

A server that batches runs the model for many requests at once, in a task that inherited the context of whichever
request came first. So the batch gets a context of its own: no parent span but links to all, and an id for each row.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.prediction_id import new_prediction_id
from otel_ml.instrumentation.requests.scope import InferenceScope, current_scope
from otel_ml.recording import spans
from otel_ml.recording.guard import failed
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.trace import SpanContext


class BatchMember(NamedTuple):
    """What a batch has to know of one of its requests.

    Attributes:
        prediction_id: Of the request.
        span_context: Of the span the request waits in.
        scope: The request itself, where it is served in this process: what the batch records counts for it.
        rows: How many rows of the batch are this request's.
        first_row: Which of the request's rows is the first in this batch, where a large request is split.
        of_rows: How many rows the whole request has, where it is split.
    """

    prediction_id: str | None
    span_context: SpanContext | None
    scope: InferenceScope | None = None
    rows: int = 1
    first_row: int = 0
    of_rows: int | None = None

    def row_ids(self) -> list[str]:
        """One id per row."""
        own = self.prediction_id or new_prediction_id()
        if (self.of_rows or self.rows) == 1:
            return [own]
        return [f"{own}:{index}" for index in range(self.first_row, self.first_row + self.rows)]


def this_request(rows: int = 1) -> BatchMember:
    """The request of this context, as a batch will need to know it: call it before the request is handed over."""
    scope = current_scope()
    return BatchMember(scope.prediction_id if scope is not None else None, spans.context_of(None), scope, rows)


@contextmanager
def batch_of_requests(members: Sequence[BatchMember]) -> Iterator[None]:
    """Model calls in here are the batch's: linked to its members' spans, with a row of the batch for each id.

    Enter it in the task or thread that calls the model. Exceptions pass.
    """
    scope = InferenceScope()
    try:
        scope.members = [member.scope for member in members if member.scope is not None and not member.scope.closed]
        scope.links = [member.span_context for member in members if member.span_context is not None]
        scope.row_ids = [row_id for member in members for row_id in member.row_ids()]
    except Exception as error:
        failed("batch of requests", error)
    context_token = otel_context.attach(Context())
    scope_token = request_scope.set(scope)
    inside_token = inside.set(False)
    try:
        yield
    finally:
        # A generator that is thrown away is closed from another context, which never held our values, or only a copy.
        if request_scope.get() is scope:
            with suppress(ValueError):
                inside.reset(inside_token)
                request_scope.reset(scope_token)
                otel_context.detach(context_token)
        try:
            scope.close()
        except Exception as error:
            failed("batch of requests", error)
