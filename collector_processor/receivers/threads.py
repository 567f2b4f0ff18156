"""Threads of the receivers' own, for what would hold up the event loop: few, so that memory stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# As many bombs at a time may grow to the limit on a request's size.
_THREADS: Final = 2


async def in_thread(work: Callable[P, R], /, *args: P.args, **options: P.kwargs) -> R:
    """What `work` returns or raises, without holding up the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_pool(), partial(work, *args, **options))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "receiver")
