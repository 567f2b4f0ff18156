"""Decompressing what strangers send: never beyond a limit, and never for long on the event loop.

A thousandth of the bytes is enough to announce a gigabyte of zeros, so the limit is applied while inflating.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from collector_processor.errors import UndecodableRequestError
from collector_processor.receivers.exports import RejectedError, Verdict
from collector_processor.receivers.threads import in_thread

# Inflating so much takes about a millisecond; the rest of what is larger is done in a thread.
_INLINE: Final = 1024 * 1024
_STEP: Final = 4 * 1024 * 1024
_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15
_DEFLATED: Final = 8


class Decompressor(Protocol):
    """An incremental decompressor: zlib's, with a bound on what one call returns."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed data was reached."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What came after the end."""
        ...

    @property
    def unconsumed_tail(self) -> bytes:
        """What was given and waits for the next call."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """At most so many bytes more."""
        ...


def _zstandard() -> Any | None:
    """Zstandard of the standard library (3.14), or its backport to the versions before."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_ZSTD: Final = _zstandard()


class _Zstd:
    """Zstandard's decompressor in the shape of zlib's, which keeps its unread input to itself."""

    # Windows of up to 128 MiB are legal; 8 MiB is what decoders have to support, and what encoders up to level 19 use.
    _WINDOW_LOG: Final = 23

    def __init__(self) -> None:
        assert _ZSTD is not None
        self._error = _ZSTD.ZstdError
        parameter = _ZSTD.DecompressionParameter.window_log_max
        self._decompressor = _ZSTD.ZstdDecompressor(options={parameter: self._WINDOW_LOG})

    @property
    def eof(self) -> bool:
        return bool(self._decompressor.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._decompressor.unused_data) if self.eof else b""

    @property
    def unconsumed_tail(self) -> bytes:
        return b""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        try:
            return bytes(self._decompressor.decompress(data, max_length))
        except self._error as error:
            raise zlib.error(str(error)) from error


def _deflate(body: bytes) -> Decompressor:
    """HTTP says zlib by "deflate"; some send it bare."""
    is_zlib = len(body) >= 2 and body[0] & 0x0F == _DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    return zlib.decompressobj(_ZLIB if is_zlib else _RAW)


_DECOMPRESSORS: Final[Mapping[str, Callable[[bytes], Decompressor]]] = {
    "gzip": lambda _: zlib.decompressobj(_GZIP),
    "x-gzip": lambda _: zlib.decompressobj(_GZIP),
    "deflate": _deflate,
    **({"zstd": lambda _: _Zstd()} if _ZSTD is not None else {}),
}
ENCODINGS: Final = ("gzip", "deflate", *(("zstd",) if _ZSTD is not None else ()), "identity")
"""What a body may be encoded in."""


async def decompress(encoding: str, body: bytes, limit: int) -> bytes:
    """The body, decompressed.

    Args:
        encoding: A Content-Encoding, lower case; empty and "identity" mean that it is not compressed.
        limit: Bytes that the result may have.

    Raises:
        RejectedError: It is larger than `limit`, or compressed in a way that is not supported.
        UndecodableRequestError: It is not compressed in the way it claims, or ends too early.
    """
    if encoding in ("", "identity"):
        if len(body) > limit:
            raise too_large(limit)
        return body
    create = _DECOMPRESSORS.get(encoding)
    if create is None:
        known = ", ".join(ENCODINGS)
        raise RejectedError(Verdict.UNSUPPORTED, f"encoding {encoding!r} is not supported (supported: {known})")
    inflating = _Inflating(encoding, create(body), limit)
    if not inflating.go_on(body, _INLINE):
        await in_thread(inflating.go_on, b"", limit + 1)
    return inflating.result()


def too_large(limit: int) -> RejectedError:
    """What is larger than so many bytes, compressed or not."""
    return RejectedError(
        Verdict.TOO_LARGE,
        f"the request is larger than {limit / 2**20:g} MiB after decompression (send smaller batches)",
    )


class _Inflating:
    """One body on its way through one decompressor."""

    def __init__(self, encoding: str, decompressor: Decompressor, limit: int) -> None:
        self._encoding, self._decompressor, self._limit = encoding, decompressor, limit
        self._parts: list[bytes] = []
        self._size = 0
        self._rest = b""

    def go_on(self, data: bytes, amount: int) -> bool:
        """Inflate about so many bytes more; whether that was all.

        Raises:
            RejectedError: It is larger than the limit.
            UndecodableRequestError: It is something else, ends too early, or goes on after its end.
        """
        until = self._size + amount
        rest = self._rest or data
        while not self._decompressor.eof:
            if self._size >= until:
                self._rest = rest
                return False
            # One byte beyond the limit tells what is too large from what just fits.
            most = min(_STEP, until - self._size, self._limit + 1 - self._size)
            try:
                part = self._decompressor.decompress(rest, most)
            except zlib.error as error:
                raise UndecodableRequestError(f"not valid {self._encoding}: {error}") from error
            self._parts.append(part)
            self._size += len(part)
            if self._size > self._limit:
                raise too_large(self._limit)
            rest = self._decompressor.unconsumed_tail
            if not (part or rest or self._decompressor.eof):
                raise UndecodableRequestError(f"not valid {self._encoding}: it ends too early")
        # Several frames in a row are legal, and of millions of tiny ones each would cost a copy of the rest. Exporters
        # send one.
        if self._decompressor.unused_data:
            raise UndecodableRequestError(f"not valid {self._encoding}: there are bytes after its end")
        return True

    def result(self) -> bytes:
        """Everything that came out."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
