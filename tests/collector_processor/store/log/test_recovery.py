"""The end of the log is found wherever a crash, or power loss, has cut what was being written."""

import os

import pytest

from collector_processor.component import Entry, Mark, Signal
from collector_processor.store.log.frames import encode
from collector_processor.store.log.recovery import mark_at, read, recover
from collector_processor.store.log.segment import HEADER_BYTES, create, make_directory

BEGIN = Mark(1_000, dict.fromkeys(Signal, 7))
KEPT = [Entry(Signal.LOGS, b"kept", 3), Entry(Signal.METRICS, b"too", 2, taken=b"taken")]
TAIL = [Entry(Signal.TRACES, b"a span", 1), Entry(Signal.LOGS, b"", 0), Entry(Signal.LOGS, b"one more", 5, b"t", True)]


def frames(entries, position):
    """The frames of entries, and where each ends."""
    buffers, ends = [], []
    for entry in entries:
        position = encode(entry, position, buffers)
        ends.append(position)
    return b"".join(buffers), ends


KEPT_BYTES, KEPT_ENDS = frames(KEPT, BEGIN.position)
TAIL_BYTES, TAIL_ENDS = frames(TAIL, KEPT_ENDS[-1])


def changed(place):
    """A tail with one byte changed."""
    return TAIL_BYTES[:place] + bytes([TAIL_BYTES[place] ^ 0x5A]) + TAIL_BYTES[place + 1 :]


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda place: TAIL_BYTES[:place], id="torn"),
        pytest.param(lambda place: TAIL_BYTES[:place] + bytes(4_096), id="zeros"),
        pytest.param(lambda place: bytes(place) + TAIL_BYTES[place:], id="zeros-before"),
        pytest.param(changed, id="changed"),
    ],
)
def test_a_tail_is_cut_behind_its_last_whole_entry(tmp_path, damaged):
    """At every byte of it; what was acknowledged before is there, and nothing behind the cut comes back."""
    segment, file = create(tmp_path, BEGIN, 8_192)
    for place in range(len(TAIL_BYTES)):
        tail = damaged(place)
        os.ftruncate(file, HEADER_BYTES)
        os.pwrite(file, KEPT_BYTES + tail, HEADER_BYTES)
        whole = [end for end in TAIL_ENDS if TAIL_BYTES[: end - KEPT_ENDS[-1]] == tail[: end - KEPT_ENDS[-1]]]

        recovered = recover(tmp_path)

        entries = [*KEPT, *TAIL[: len(whole)]]
        end = [*KEPT_ENDS, *whole][-1]
        assert recovered.segments == [segment]
        assert recovered.end.position == end
        assert sum(recovered.end.items.values()) == 21 + sum(entry.items for entry in entries)
        assert segment.size == HEADER_BYTES + end - BEGIN.position
        stored, damages = read(recovered.segments, recovered.end, BEGIN.position, 1 << 20)
        assert [one.entry for one in stored] == entries
        assert damages == recovered.damages == []
        assert mark_at(recovered.segments, recovered.end, end) == recovered.end
    os.close(file)


def test_as_many_entries_are_read_as_the_limit_allows(tmp_path):
    """Whatever the limit is, and at least one."""
    segment, file = create(tmp_path, BEGIN, 8_192)
    os.pwrite(file, KEPT_BYTES + TAIL_BYTES, HEADER_BYTES)
    os.close(file)
    ends = [*KEPT_ENDS, *TAIL_ENDS]
    end = Mark(ends[-1], BEGIN.items)

    for limit in range(ends[-1] - BEGIN.position + 2):
        stored, damages = read([segment], end, BEGIN.position, limit)

        within = sum(place - BEGIN.position <= limit for place in ends)
        assert [one.entry for one in stored] == [*KEPT, *TAIL][: max(1, within)]
        assert damages == []


@pytest.mark.parametrize("distance", [0, 4_000, 3 << 20, (5 << 20) - 3])
def test_what_was_cut_is_told_in_bytes(tmp_path, caplog, distance):
    """Up to the last byte that was written, however much room lies before it; where all is room there is nothing."""
    _, file = create(tmp_path, BEGIN, 8 << 20)
    os.pwrite(file, KEPT_BYTES, HEADER_BYTES)
    os.pwrite(file, b"unfinished", HEADER_BYTES + len(KEPT_BYTES) + distance)
    os.close(file)

    for _ in range(2):
        recover(tmp_path)

    [told] = caplog.messages
    assert f"cut {distance + len(b'unfinished')} bytes off" in told


def test_what_a_failed_batch_left_in_a_segment_ends_where_the_next_one_begins(tmp_path):
    """A disk that could not even be told to cut it does not bring it back."""
    first, file = create(tmp_path, BEGIN, 8_192)
    os.pwrite(file, KEPT_BYTES + TAIL_BYTES, HEADER_BYTES)
    os.close(file)
    behind = Mark(KEPT_ENDS[-1], {**BEGIN.items, Signal.LOGS: 10, Signal.METRICS: 9})
    content, ends = frames([Entry(Signal.LOGS, b"the next", 1)], behind.position)
    _, file = create(tmp_path, behind, 8_192)
    os.pwrite(file, content, HEADER_BYTES)
    os.close(file)

    recovered = recover(tmp_path)

    stored = []
    for position in (BEGIN.position, behind.position):
        some, _ = read(recovered.segments, recovered.end, position, 1 << 20)
        stored += some
    assert [one.entry.body for one in stored] == [b"kept", b"too", b"the next"]
    assert recovered.end.position == ends[-1]
    assert recovered.damages == []
    assert first.size == HEADER_BYTES + len(KEPT_BYTES)


def test_a_directory_is_made_with_all_above_it(tmp_path):
    """And being there already is no error."""
    for _ in range(2):
        make_directory(tmp_path / "a" / "b" / "c")

    assert (tmp_path / "a" / "b" / "c").is_dir()
