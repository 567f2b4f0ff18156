"""What a log finds on disk, at start and when reading: entries where they are whole, damage where they are not."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

from collector_processor.component import Mark, Signal, Stored
from collector_processor.store.log.damage import Damage
from collector_processor.store.log.segment import (
    HEADER_BYTES,
    SUFFIX,
    UNFINISHED,
    Segment,
    counted,
    open_segment,
    sync_directory,
)

_log = logging.getLogger(__name__)

_NAME: Final = re.compile(rf"\d{{20}}{re.escape(SUFFIX)}")
_DAMAGED: Final = ".damaged"
# How much to read from a file at once, whatever is asked for.
_LEAST_CHUNK: Final = 1 << 16
_MOST_CHUNK: Final = 1 << 22
# To where there is data again; where files cannot be asked for that, one stays where one is.
_SEEK_DATA: Final[int] = getattr(os, "SEEK_DATA", os.SEEK_SET)


@dataclass(slots=True)
class Recovered:
    """What was there.

    Attributes:
        segments: The oldest first.
        end: Where the log goes on.
        damages: What cannot be read of what is before the end.
    """

    segments: list[Segment]
    end: Mark
    damages: list[Damage] = field(default_factory=list)


def recover(directory: Path) -> Recovered:
    """Find the segments in a directory, and cut what was being written when the last process ended.

    Only the last segment is read; of the others the headers are, so that starting takes no longer with a large log.
    A file without our header is renamed, and left to whoever wants to look at it. Files of other names are let alone.

    Raises:
        StartError: Files are of another version.
        OSError: The directory cannot be read or written.
    """
    for unfinished in directory.glob(f"*{SUFFIX}{UNFINISHED}"):
        if _NAME.fullmatch(unfinished.name.removesuffix(UNFINISHED)):
            unfinished.unlink()
    segments: list[Segment] = []
    foreign: list[int] = []
    # Positions are never used again, also those of a file that we cannot read.
    reached = 0
    for path in sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name)):
        segment = open_segment(path)
        if segment is not None:
            segments.append(segment)
            continue
        foreign.append(int(path.stem))
        reached = max(reached, foreign[-1] + max(0, path.stat().st_size - HEADER_BYTES))
        path.replace(path.with_name(path.name + _DAMAGED))
        sync_directory(directory)
        _log.error("log: %s is damaged, or nothing of ours; renamed to %s", path, path.name + _DAMAGED)
    if segments:
        recovered = Recovered(segments, _cut(segments[-1]), _missing(segments))
    else:
        # A log that begins anew goes on behind every one that was here before, at up to a gigabyte a second, so that
        # who remembers a position in one that was deleted does not take our entries for some that it has had.
        recovered = Recovered([], Mark(reached or time.time_ns(), dict.fromkeys(Signal, 0)))
    first = segments[0].begin if segments else recovered.end
    if foreign and foreign[0] < first.position:
        damage = Damage(Mark(foreign[0], first.items), first, f"{directory} has lost its first segment")
        recovered.damages.append(damage)
    if segments and reached > recovered.end.position:
        before, recovered.end = recovered.end, Mark(reached, recovered.end.items)
        recovered.damages.append(Damage(before, recovered.end, f"what followed {segments[-1].path} is gone"))
    return recovered


def read(segments: Sequence[Segment], end: Mark, position: int, limit_bytes: int) -> tuple[list[Stored], list[Damage]]:
    """Entries from a position on, as many as the limit allows but at least one, and the damage on the way to it.

    Raises:
        OSError: A file cannot be read.
    """
    damages: list[Damage] = []
    stored: list[Stored] = []
    for segment, stop in _from(segments, end, position):
        position = max(position, segment.begin.position)
        chunk_bytes = min(max(limit_bytes, _LEAST_CHUNK), _MOST_CHUNK)
        # Not beyond the limit: what lies there would be read once more the next time.
        within = min(stop.position, position + limit_bytes)
        stored += [frame.stored() for frame in segment.frames(position, within, chunk_bytes)]
        if not stored:
            stored += [frame.stored() for frame in islice(segment.frames(position, stop.position, chunk_bytes), 1)]
        if stored:
            return stored, damages
        # Nothing whole at this place: it is the end of the file, or damage, or within an entry.
        before = segment.begin
        for frame in segment.frames(segment.begin.position, stop.position):
            if frame.position > position:
                stored.append(frame.stored())
                return stored, damages
            before = counted(before, frame)
        if before.position < stop.position:
            place = max(before.position, position)
            damages.append(Damage(Mark(place, before.items), stop, f"{segment.path} is damaged at position {place}"))
        position = stop.position
    return stored, damages


def mark_at(segments: Sequence[Segment], end: Mark, position: int) -> Mark:
    """The mark at a place where an entry begins or ends, or at the nearest before it that can be read.

    Raises:
        OSError: A file cannot be read.
    """
    for segment, stop in _from(segments, end, position):
        mark = segment.begin
        if mark.position < position < stop.position:
            for frame in segment.frames(mark.position, stop.position):
                if frame.end > position:
                    break
                mark = counted(mark, frame)
        return mark if position < stop.position else end
    return end


def _from(segments: Sequence[Segment], end: Mark, position: int) -> list[tuple[Segment, Mark]]:
    """The segments from that of a position on, each with where it ends."""
    stops = [*(segment.begin for segment in segments[1:]), end]
    return [(segment, stop) for segment, stop in zip(segments, stops, strict=False) if stop.position > position]


def _cut(last: Segment) -> Mark:
    """Where the whole entries of the last segment end; what lies behind is cut, so that it never comes back."""
    end, size = last.begin, last.size
    for frame in last.frames(end.position, end.position + size - HEADER_BYTES):
        end = counted(end, frame)
    remains = _written_behind(last, end.position)
    if remains:
        _log.warning("log: cut %d bytes off %s that were not whole entries", remains, last.path)
    if size != end.position - last.begin.position + HEADER_BYTES:
        last.cut(end.position)
    return end


def _written_behind(last: Segment, end: int) -> int:
    """How many bytes behind the end are more than room that was allocated."""
    written = 0
    room = bytes(1 << 20)
    with suppress(OSError), last.path.open("rb") as file:
        start = file.seek(end - last.begin.position + HEADER_BYTES)
        while chunk := file.read(len(room)):
            # Nearly all of it is room; comparing finds that out twenty times as fast as looking for the last byte.
            if chunk != room[: len(chunk)]:
                written = file.tell() - start - len(chunk) + len(chunk.rstrip(b"\0"))
            # Room that was never written to is not read; where only room is left, this is an error, and the end.
            file.seek(file.tell(), _SEEK_DATA)
    return written


def _missing(segments: Sequence[Segment]) -> list[Damage]:
    """What is not there between one segment and the next."""
    damages = []
    for segment, following in pairwise(segments):
        room = following.begin.position - segment.begin.position + HEADER_BYTES
        size = segment.size
        if size > room:
            # We ended before its room was given back.
            with suppress(OSError):
                os.truncate(segment.path, room)
        elif size < room:
            before = segment.begin
            for frame in segment.frames(before.position, following.begin.position):
                before = counted(before, frame)
            damages.append(Damage(before, following.begin, f"what followed {segment.path} is gone"))
    return damages
