"""Ids of predictions: the one a caller gave in a header, else one made here."""

from __future__ import annotations

import itertools
import os
import uuid
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ID_HEADERS: Final = ("x-request-id", "ce-id")
"""Headers that name a request, in order of precedence: the de-facto standard, then a CloudEvent's id."""
_WIRE_NAMES: Final = {name.encode(): name for name in ID_HEADERS} | {name: name for name in ID_HEADERS}
_MAX_ID_LENGTH: Final = 128

_BLOCK_NS: Final = 16_000_000
_SUFFIXES: Final = tuple(f"{number:02x}" for number in range(256))


class _Block(NamedTuple):
    """Ids that differ in their last two digits only, and the time until which they may be given out."""

    prefix: str
    until_ns: int
    suffixes: Iterator[str]


_own: str
"""Version, variant and 50 random bits of this process, as they stand in the middle of its ids."""
_numbers: Iterator[int]
_block: _Block


def _begin() -> None:
    global _own, _numbers, _block  # noqa: PLW0603 - made when the process begins, and anew in a forked one
    digits = uuid.uuid4().hex
    _own = f"7{digits[0:3]}-{digits[16:20]}-{digits[20:26]}"
    _numbers = itertools.count(int(digits[26:30], 16))
    _block = _Block("", 0, iter(()))


_begin()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)


def new_prediction_id() -> str:
    """A UUIDv7 (RFC 9562): ids sort by time, which keeps a store of them compact.

    Its time is that of the last 16 ms, and what tells ids apart is drawn once per process and counted on from there:
    formatting each of them takes five times the instructions.
    """
    prefix, until_ns, suffixes = _block
    if time_ns() < until_ns:
        suffix = next(suffixes, None)
        if suffix is not None:
            return prefix + suffix
    return _from_new_block()


def _from_new_block() -> str:
    global _block  # noqa: PLW0603 - replaced as a whole: two threads that both come here make one block each
    now = time_ns()
    milliseconds = now // 1_000_000
    high, low = milliseconds >> 16 & 0xFFFF_FFFF, milliseconds & 0xFFFF
    prefix = f"{high:08x}-{low:04x}-{_own}{next(_numbers) & 0xFFFF:04x}"
    suffixes = iter(_SUFFIXES)
    mine = prefix + next(suffixes)  # before others see the block, who may use it up
    _block = _Block(prefix, now + _BLOCK_NS, suffixes)
    return mine


def id_from_headers(headers: Iterable[tuple[Any, Any]]) -> str | None:
    """The id a caller gave in headers, if it is short and printable; else None."""
    found: dict[str, Any] | None = None
    for name, value in headers:
        if name in _WIRE_NAMES:
            if found is None:
                found = {}
            found.setdefault(_WIRE_NAMES[name], value)
    if found is None:
        return None
    for name in ID_HEADERS:
        value = found.get(name)
        if value is not None:
            text = value if isinstance(value, str) else value[: _MAX_ID_LENGTH + 1].decode("latin-1")
            if accepted := acceptable_id(text):
                return accepted
    return None


def acceptable_id(text: str) -> str | None:
    """The id as it may be reported: short and printable; else None."""
    text = text.strip() if len(text) <= 2 * _MAX_ID_LENGTH else ""
    return text if text and len(text) <= _MAX_ID_LENGTH and text.isascii() and text.isprintable() else None
