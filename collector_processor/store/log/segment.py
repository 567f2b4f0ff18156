"""One file of the log: a header that says where in the log it begins and what was counted before it, then frames."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from collector_processor.component import Mark, Signal
from collector_processor.errors import StartError
from collector_processor.store.log.frames import Frame, pread, walk

_MAGIC: Final = b"OTELMLOG"
_FORMAT: Final = 1
# Magic, format, position, then items of traces, metrics and logs before it, and a checksum of all that.
_HEADER: Final = struct.Struct("<8sIQQQQI")
HEADER_BYTES: Final = _HEADER.size
_CRC_BYTES: Final = 4
SUFFIX: Final = ".log"
# A segment gets its name when it is complete; a crash before that leaves a file of this name, which is nobody's.
UNFINISHED: Final = ".new"
# What file systems without preallocation answer.
_NO_PREALLOCATION: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the log.

    Attributes:
        begin: Where it begins. It ends where the next one begins, at the latest: what lies behind was never committed.
    """

    path: Path
    begin: Mark

    @property
    def size(self) -> int:
        """Bytes on disk, room that was allocated and not yet written to included."""
        return self.path.stat().st_size

    def frames(self, position: int, stop: int, chunk_bytes: int = 1 << 20) -> Iterator[Frame]:
        """Whole frames from a position on, up to the first that is not, or to `stop`; none if the file is gone.

        Raises:
            OSError: The file cannot be read.
        """
        base = self.begin.position - HEADER_BYTES
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            yield from walk(file, position - base, stop - base, position, chunk_bytes)
        finally:
            os.close(file)

    def cut(self, end: int) -> None:
        """Throw away, durably, what lies behind a position."""
        with _opened(self.path, os.O_RDWR) as file:
            os.ftruncate(file, end - self.begin.position + HEADER_BYTES)
            os.fsync(file)


def counted(mark: Mark, frame: Frame) -> Mark:
    """The mark behind a frame, from the one before it."""
    items = dict(mark.items)
    if not frame.own:
        items[frame.signal] += frame.items
    return Mark(frame.end, items)


def segment_path(directory: Path, position: int) -> Path:
    """The name of the file that begins at a position; names sort as positions do."""
    return directory / f"{position:020}{SUFFIX}"


def create(directory: Path, begin: Mark, size: int) -> tuple[Segment, int]:
    """A new segment with room for `size` bytes, header included, and its open file.

    The room is allocated, so that a full disk shows here and not in the middle of a write. A file of the same name is
    replaced: two segments begin at the same place only if the first holds nothing.

    Raises:
        OSError: There is no such room; nothing is left behind.
    """
    path = segment_path(directory, begin.position)
    unfinished = path.with_name(path.name + UNFINISHED)
    file = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _allocate(file, size)
        os.pwrite(file, _encode_header(begin), 0)
        os.fsync(file)
        unfinished.replace(path)
        sync_directory(directory)
    except BaseException:
        os.close(file)
        with suppress(OSError):
            unfinished.unlink()
        raise
    return Segment(path, begin), file


def open_segment(path: Path) -> Segment | None:
    """The segment in a file of ours, or None if the header is not what we wrote.

    Raises:
        StartError: It was written by another version.
        OSError: It cannot be read.
    """
    with _opened(path, os.O_RDONLY) as file:
        header = pread(file, HEADER_BYTES, 0)
    if len(header) < HEADER_BYTES:
        return None
    magic, version, position, traces, metrics, logs, crc = _HEADER.unpack(header)
    if magic != _MAGIC or crc != crc32(header[:-_CRC_BYTES]) or path != segment_path(path.parent, position):
        return None
    if version != _FORMAT:
        raise StartError(
            f"store::directory: {str(path)!r} has format {version} (format {_FORMAT}: let the version that wrote it"
            " deliver it, or move it away)"
        )
    return Segment(path, Mark(position, {Signal.TRACES: traces, Signal.METRICS: metrics, Signal.LOGS: logs}))


def make_directory(directory: Path) -> None:
    """Make a directory for its owner alone, and its name durable: or power loss takes it with all that is in it.

    Raises:
        OSError: It cannot be made.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(0o700, parents=True, exist_ok=True)
    for path in missing or [directory]:
        # One that we may not list was there before us.
        with suppress(PermissionError):
            sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    with _opened(directory, os.O_RDONLY) as file:
        os.fsync(file)


def _encode_header(begin: Mark) -> bytes:
    items = begin.items
    counts = items[Signal.TRACES], items[Signal.METRICS], items[Signal.LOGS]
    header = _HEADER.pack(_MAGIC, _FORMAT, begin.position, *counts, 0)[:-_CRC_BYTES]
    return header + crc32(header).to_bytes(_CRC_BYTES, "little")


def _allocate(file: int, size: int) -> None:
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        if error.errno not in _NO_PREALLOCATION:
            raise
        os.ftruncate(file, size)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)
