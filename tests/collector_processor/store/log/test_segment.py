"""A segment says where in the log it begins, and what was counted before."""

import os
import struct
from zlib import crc32

import pytest

from collector_processor.component import Mark, Signal
from collector_processor.errors import StartError
from collector_processor.store.log.segment import HEADER_BYTES, create, open_segment, segment_path

BEGIN = Mark(10**18, {Signal.TRACES: 1, Signal.METRICS: 2**40, Signal.LOGS: 3})


def created(directory, begin=BEGIN, size=4_096):
    segment, file = create(directory, begin, size)
    os.close(file)
    return segment


def test_a_segment_is_found_as_it_was_begun(tmp_path):
    """Position and counts, from its header alone."""
    segment = created(tmp_path)

    assert open_segment(segment.path) == segment
    assert segment.begin == BEGIN


def test_its_room_is_there_from_the_beginning(tmp_path):
    """So that a full disk shows before anything is promised."""
    segment = created(tmp_path, size=300_000)

    assert segment.size == 300_000
    assert segment.path.stat().st_blocks * 512 >= 300_000


def test_names_sort_as_positions_do(tmp_path):
    """Up to the largest."""
    positions = [0, 9, 10, 10**18, 2**63]

    assert sorted(segment_path(tmp_path, position) for position in reversed(positions)) == [
        segment_path(tmp_path, position) for position in positions
    ]


@pytest.mark.parametrize("place", range(HEADER_BYTES))
def test_a_header_with_a_changed_byte_is_not_ours(tmp_path, place):
    """Whichever it is."""
    path = created(tmp_path).path
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)

    assert open_segment(path) is None


def test_a_segment_under_the_name_of_another_is_not_ours(tmp_path):
    """Its positions would be wrong."""
    path = created(tmp_path).path
    moved = path.rename(segment_path(tmp_path, 5))

    assert open_segment(moved) is None


def test_a_segment_of_another_version_is_an_error(tmp_path):
    """It holds what was acknowledged, and another version can deliver it."""
    path = created(tmp_path).path
    content = bytearray(path.read_bytes())
    content[8:12] = struct.pack("<I", 2)
    content[HEADER_BYTES - 4 : HEADER_BYTES] = struct.pack("<I", crc32(content[: HEADER_BYTES - 4]))
    path.write_bytes(content)

    with pytest.raises(StartError, match=r"store::directory: '.*\.log' has format 2 \(format 1"):
        open_segment(path)


def test_where_there_is_no_room_nothing_is_left_behind(tmp_path):
    """Not even a name."""
    with pytest.raises(OSError, match=r"No space|too large"):
        create(tmp_path, BEGIN, 1 << 60)

    assert list(tmp_path.iterdir()) == []


def test_a_segment_that_held_nothing_is_replaced(tmp_path):
    """By one that begins at the same place."""
    first = created(tmp_path, size=5_000)
    second = created(tmp_path, size=9_000)

    assert first == second
    assert second.size == 9_000
