"""What a library's own container was made of: a DMatrix or a Pool keeps names and numbers, but not the frame itself.

The source is what can be read best, with its own columns, categories and types. It must not live longer for it: a
training matrix of gigabytes would keep its frame from being freed. So a large source is only referred to weakly: it can
be read for as long as the application itself keeps it. A small one, such as the frame made of one request and dropped
as soon as the container has its numbers, is kept until the container goes.
"""

from __future__ import annotations

import math
import weakref
from typing import Any, Final, NamedTuple

SMALL: Final = 1024 * 1024
"""Bytes of a source that lives as long as its container."""
_BYTES_PER_OBJECT: Final = 64


class _Source(NamedTuple):
    container: weakref.ref[Any]
    kept: Any
    seen: weakref.ref[Any] | None


# By id, because a Pool cannot be hashed; the weak reference's callback takes the entry out before the id can belong to
# another object.
_sources: dict[int, _Source] = {}


def remember_source(container: Any, source: Any) -> None:
    """Note what a container was just made of; files, iterators and whatever has no size have no place here."""
    size = _size_of(source)
    if size is None:
        return
    identity = id(container)
    reference = weakref.ref(container, lambda _: _sources.pop(identity, None))
    if size <= SMALL:
        _sources[identity] = _Source(reference, source, None)
        return
    try:
        _sources[identity] = _Source(reference, None, weakref.ref(source))
    except TypeError:
        return  # a list: the container's own numbers must do


def source_of(container: Any) -> Any:
    """What the container was made of, if that is still there; else the container, as is anything that is none."""
    source = _sources.get(id(container))
    if source is None or source.container() is not container:
        return container
    original = source.kept if source.seen is None else source.seen()
    return container if original is None else original


def _size_of(source: Any) -> int | None:
    """Bytes, roughly; None for what cannot be recorded anyway."""
    if isinstance(source, (list, tuple)):
        width = len(source[0]) if source and isinstance(source[0], (list, tuple)) else 1
        return len(source) * width * _BYTES_PER_OBJECT
    # Sparse matrices first: their shape says nothing about their size.
    stored = getattr(source, "nnz", None)
    if isinstance(stored, int):
        return stored * 16
    size = getattr(source, "nbytes", None)
    if isinstance(size, int):
        return size
    shape = getattr(source, "shape", None)
    return math.prod(shape) * 8 if isinstance(shape, tuple) else None
