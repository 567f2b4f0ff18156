"""Batches of BentoML's dispatcher: each row keeps the id of its request, and each request its trace.

`CorkDispatcher` runs all batches of an API in tasks that its controller starts, and the controller is a task that the
very first request has started: every later batch would report under that request's trace and id, for as long as the
worker lives. The job of a request is made in the request's own context; there we note who it is.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.calls.batching import BatchMember, batch_of_requests, this_request
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.serving import LeftAlone
from otel_ml.instrumentation.suppression import suppressed
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager

_WHERE: Final = "bentoml batch"


def with_member(original: type[Any]) -> type[Any]:
    """A `Job` that knows the request it belongs to, also after it was split: `attr.evolve` copies every field."""
    import attr  # noqa: PLC0415 - BentoML's own dependency, loaded when this is called

    @attr.define
    class Job(original):  # type: ignore[misc]  # any class
        member: BatchMember | None = attr.field(factory=_this_request, eq=False, repr=False)

    Job.__module__, Job.__qualname__ = original.__module__, original.__qualname__
    return Job


def splitting_rows(original: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """A job too large for what is left of a batch is split: its second part's rows go on where the first's end."""

    @functools.wraps(original)
    def split_job(self: Any, job: Any, split_indexes: Sequence[int], *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        first, second = original(self, job, split_indexes, *args, **kwargs)
        try:
            member = getattr(job, "member", None)
            if member is not None:
                _, here, rows = split_indexes
                whole = member.of_rows or rows
                first.member = member._replace(rows=here, of_rows=whole)
                second.member = member._replace(rows=rows - here, first_row=member.first_row + here, of_rows=whole)
        except Exception as error:
            failed(_WHERE, error)
        return first, second

    return split_job


def in_own_context(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Run a batch as what it is: linked to its requests, child of none."""

    @functools.wraps(original)
    async def outbound_call(self: Any, inputs_info: Sequence[Any], *args: Any, **kwargs: Any) -> None:
        with _batch_of(self, inputs_info):
            await original(self, inputs_info, *args, **kwargs)

    return outbound_call


def _this_request() -> BatchMember | None:
    """The request that is served in this context; None if it is to be left alone."""
    try:
        return None if inside.get() or suppressed() else this_request()
    except Exception as error:
        failed(_WHERE, error)
        return None


def _batch_of(dispatcher: Any, jobs: Sequence[Any]) -> AbstractContextManager[None]:
    members = []
    try:
        for job in jobs:
            member = getattr(job, "member", None)
            if member is not None:
                members.append(member if member.of_rows else member._replace(rows=dispatcher.get_batch_size(job.data)))
        # The requests of one API share its path: if one is excluded from recording, all are.
        if jobs and not members and all(hasattr(job, "member") for job in jobs):
            return LeftAlone()
    except Exception as error:
        failed(_WHERE, error)
    return batch_of_requests(members)
