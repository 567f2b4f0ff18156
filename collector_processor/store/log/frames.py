"""How an entry lies in a segment: a head of fixed size, then the body, then what was taken out.

    crc u32 | length u32 | signal u8 | flags u8 | 0 u16 | items u32 | body length u32 | body | taken

Little-endian. The length is that of the whole frame, so that it is never zero: zeros are room not yet written to. The
checksum starts from the frame's position in the log and covers all that follows it, so that a frame that ends up in
another place, remains of an older file for instance, is no frame there.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple
from zlib import crc32

from collector_processor.component import Entry, Signal, Stored

_HEAD: Final = struct.Struct("<IIBBHII")
HEAD_BYTES: Final = _HEAD.size
_CRC: Final = struct.Struct("<I")
# In the order of their numbers on disk, which never change.
_SIGNALS: Final = (Signal.TRACES, Signal.METRICS, Signal.LOGS)
_NUMBERS: Final = {signal: number for number, signal in enumerate(_SIGNALS)}
_OWN: Final = 1
_WATCHED: Final = 2
_U32: Final = 0xFFFF_FFFF
_CHUNK_BYTES: Final = 1 << 20


class Frame(NamedTuple):
    """A whole frame: where it lies, and its parts, which live as long as the chunk that was read."""

    position: int
    end: int
    signal: Signal
    items: int
    own: bool
    is_watched: bool
    body: memoryview
    taken: memoryview

    def stored(self) -> Stored:
        """The entry, in bytes of its own."""
        entry = Entry(self.signal, bytes(self.body), self.items, bytes(self.taken), self.is_watched, self.own)
        return Stored(self.position, self.end, entry)


def frame_bytes(size: int) -> int:
    """How long the frame of an entry of `size` bytes is."""
    return HEAD_BYTES + size


def encode(entry: Entry, position: int, buffers: list[bytes]) -> int:
    """Append the frame of an entry, in pieces, to what is to be written at a position; return where it ends."""
    body, taken = entry.body, entry.taken
    length = HEAD_BYTES + len(body) + len(taken)
    flags = (_OWN if entry.own else 0) | (_WATCHED if entry.is_watched else 0)
    head = _HEAD.pack(0, length, _NUMBERS[entry.signal], flags, 0, entry.items, len(body))[_CRC.size :]
    crc = crc32(taken, crc32(body, crc32(head, position & _U32)))
    buffers.append(_CRC.pack(crc) + head)
    if body:
        buffers.append(body)
    if taken:
        buffers.append(taken)
    return position + length


def walk(file: int, offset: int, stop: int, position: int, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[Frame]:
    """The frames of an open file one after another, up to the first that is not whole.

    Args:
        offset: Of the first frame, in the file.
        stop: Where frames end at the latest, in the file.
        position: Of the first frame, in the log.
        chunk_bytes: How much to read at once.
    """
    chunk, start = b"", offset
    while stop - offset >= HEAD_BYTES:
        if start + len(chunk) - offset < HEAD_BYTES:
            chunk, start = pread(file, min(max(chunk_bytes, HEAD_BYTES), stop - offset), offset), offset
            if len(chunk) < HEAD_BYTES:
                return
        crc, length, number, flags, _, items, body_bytes = _HEAD.unpack_from(chunk, offset - start)
        if not HEAD_BYTES + body_bytes <= length <= stop - offset:
            return
        if start + len(chunk) - offset < length:
            chunk, start = pread(file, max(length, min(chunk_bytes, stop - offset)), offset), offset
            if len(chunk) < length:
                return
        frame = memoryview(chunk)[offset - start : offset - start + length]
        if crc32(frame[_CRC.size :], position & _U32) != crc or number >= len(_SIGNALS):
            return
        body, taken = frame[HEAD_BYTES : HEAD_BYTES + body_bytes], frame[HEAD_BYTES + body_bytes :]
        is_own, is_watched = bool(flags & _OWN), bool(flags & _WATCHED)
        yield Frame(position, position + length, _SIGNALS[number], items, is_own, is_watched, body, taken)
        offset += length
        position += length


def pread(file: int, size: int, offset: int) -> bytes:
    """What a file holds at a place; nothing where the disk cannot read it any more.

    Raises:
        OSError: It cannot be read now.
    """
    try:
        return os.pread(file, size, offset)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""
