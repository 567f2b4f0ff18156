"""A model's answer that comes in pieces, observed from the first step to the last, whoever reads it and wherever."""

from __future__ import annotations

import asyncio
import contextvars
import types
from typing import TYPE_CHECKING, Any

from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
    from contextvars import Context

    from otel_ml.instrumentation.calls.observed_call import ObservedCall
    from otel_ml.instrumentation.requests.scope import InferenceScope
    from otel_ml.instrumentation.requests.serving import ServedRequest


async def observed_stream(
    where: str,
    start: Callable[[InferenceScope | None], AsyncIterator[Any]],
    *,
    request: ServedRequest,
    call: ObservedCall,
    take: Callable[[Any], None],
    read: Callable[[], tuple[Any, Any, Any]],
) -> AsyncGenerator[Any, None]:
    """What `start` gives, piece by piece, as one observed call within one request.

    A reader that goes away early, or is cancelled, is no failure of the model: what came until then is recorded.

    Args:
        where: For messages: "mlserver hook".
        start: Begins the stream, told the request's scope.
        take: Is shown each piece.
        read: Gives features, predictions and scores at the end.
    """
    # The stream has a context of its own for its whole life. An async generator otherwise runs in that of whoever asks
    # for its next piece, who would see our span as current in between; and one that is thrown away is closed in yet
    # another, where nothing can be reset.
    context = contextvars.copy_context()
    scope = context.run(request.__enter__)
    context.run(call.__enter__)
    failure: BaseException | None = None
    try:
        pieces = context.run(start, scope)
        try:
            while True:
                try:
                    piece = await within(context, pieces.__anext__())
                except StopAsyncIteration:
                    break
                _show(where, take, piece)
                yield piece
        except GeneratorExit:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await within(context, close())
            raise
    except (GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:
        failure = error
        raise
    finally:
        context.run(call.read, read)
        context.run(call.__exit__, None, failure, None)
        context.run(request.__exit__)


@types.coroutine
def within(context: Context, awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """What `awaitable` gives, while each of its steps runs in `context`."""
    steps: Any = awaitable.__await__()
    resume, value = steps.send, None
    while True:
        try:
            pending = context.run(resume, value)
        except StopIteration as finished:
            return finished.value
        try:
            resume, value = steps.send, (yield pending)
        except BaseException as error:
            resume, value = steps.throw, error


def _show(where: str, take: Callable[[Any], None], piece: Any) -> None:
    try:
        take(piece)
    except Exception as error:
        failed(where, error)
