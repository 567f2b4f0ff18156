"""A frame is read as it was written, at its place, whole, or not at all."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.component import Entry, Signal
from collector_processor.store.log.frames import HEAD_BYTES, encode, frame_bytes, pread, walk

entries = st.builds(
    Entry,
    signal=st.sampled_from(Signal),
    body=st.binary(max_size=300),
    items=st.integers(0, 2**32 - 1),
    taken=st.binary(max_size=50),
    is_watched=st.booleans(),
    own=st.booleans(),
)
positions = st.integers(0, 2**63)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file that each example writes anew."""
    return tmp_path_factory.mktemp("frames") / "frames"


def encoded(some, position):
    buffers = []
    for entry in some:
        position = encode(entry, position, buffers)
    return b"".join(buffers)


def decoded(path, content, position, stop=None, chunk_bytes=1 << 20):
    path.write_bytes(content)
    file = os.open(path, os.O_RDONLY)
    try:
        frames = walk(file, 0, len(content) if stop is None else stop, position, chunk_bytes)
        return [frame.stored() for frame in frames]
    finally:
        os.close(file)


@given(st.lists(entries, max_size=10), positions, st.sampled_from([1, 64, 300, 1 << 20]))
def test_frames_are_read_as_they_were_written(path, some, position, chunk_bytes):
    """However much is read at once."""
    content = encoded(some, position)

    found = decoded(path, content, position, chunk_bytes=chunk_bytes)

    assert [stored.entry for stored in found] == some
    assert [stored.end - stored.position for stored in found] == [frame_bytes(entry.size) for entry in some]
    assert position + len(content) == (found[-1].end if found else position)


@given(entries, positions, st.data())
def test_no_changed_byte_goes_unnoticed(path, entry, position, data):
    """Neither in what it holds nor in what it says of itself."""
    content = bytearray(encoded([entry], position))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))

    assert decoded(path, bytes(content), position) == []


@given(entries, positions, st.integers(1, 2**31))
def test_a_frame_at_another_place_is_none(path, entry, position, distance):
    """What an older file has left behind is not an entry."""
    assert decoded(path, encoded([entry], position), position + distance) == []


@given(st.lists(entries, min_size=1, max_size=4), positions, st.data())
def test_a_torn_or_zeroed_end_costs_the_frames_in_it_and_no_other(path, some, position, data):
    """Whole frames before it are read; nothing behind it is."""
    content = encoded(some, position)
    place = data.draw(st.integers(0, len(content)))
    torn = content[:place]
    zeroed = torn + bytes(len(content) - place)

    found = decoded(path, content, position)
    whole = [stored for stored in found if stored.end - position <= place]
    # A frame of which only zeros were lost is whole once zeros are there again.
    unchanged = [one for one in found if zeroed[: one.end - position] == content[: one.end - position]]

    assert decoded(path, torn, position) == whole
    assert decoded(path, zeroed, position) == unchanged


def test_zeros_are_no_frames(path):
    """But room that was not yet written to."""
    assert decoded(path, bytes(10 * HEAD_BYTES), 0) == []


def test_a_frame_ends_before_the_end_of_its_segment(path):
    """What reaches beyond was not committed there."""
    content = encoded([Entry(Signal.LOGS, b"a", 1), Entry(Signal.LOGS, b"b", 1)], 0)

    assert [stored.entry.body for stored in decoded(path, content, 0, stop=len(content) - 1)] == [b"a"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose begin cannot be read")
def test_a_place_that_the_disk_cannot_read_holds_nothing():
    """It is damage, and no reason to stop."""
    file = os.open("/proc/self/mem", os.O_RDONLY)

    try:
        with pytest.raises(OSError, match="Input/output error"):
            os.pread(file, 100, 0)
        assert pread(file, 100, 0) == b""
    finally:
        os.close(file)
