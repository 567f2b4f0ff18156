"""Every snapshot counts once."""

from hypothesis import given
from hypothesis import strategies as st

from collector_processor.processors.deduplication import REORDER, SPAN, Admission, Deduplicator

PRODUCER = b"p" * 16


def test_a_second_delivery_is_a_duplicate():
    """OTLP delivers at least once."""
    deduplicator = Deduplicator(10)
    deduplicator.admit(PRODUCER, 1)

    assert deduplicator.admit(PRODUCER, 1) is Admission.DUPLICATE


def test_the_same_number_of_another_producer_is_new():
    """Each process numbers its own snapshots."""
    deduplicator = Deduplicator(10)
    deduplicator.admit(PRODUCER, 1)

    assert deduplicator.admit(b"q" * 16, 1) is Admission.NEW


@given(st.lists(st.integers(1, 60), max_size=200))
def test_each_number_is_admitted_exactly_once_in_any_order(deliveries):
    """Reordering and repetition change nothing, as long as they stay within memory."""
    deduplicator = Deduplicator(10)

    admitted = [number for number in deliveries if deduplicator.admit(PRODUCER, number) is Admission.NEW]

    assert sorted(admitted) == sorted(set(deliveries))


@given(st.lists(st.integers(1, 3 * SPAN), max_size=100))
def test_restored_marks_decide_as_the_kept_ones(deliveries):
    """A restart neither repeats nor loses a snapshot."""
    before = Deduplicator(10)
    for number in deliveries:
        before.admit(PRODUCER, number)
    after = Deduplicator(10)
    after.restore(before.encode())

    probes = range(1, 3 * SPAN, 97)

    assert [after.admit(PRODUCER, n) for n in probes] == [before.admit(PRODUCER, n) for n in probes]


def test_what_nobody_remembers_is_not_merged():
    """Merging twice would be worse than losing one."""
    deduplicator = Deduplicator(10)
    deduplicator.admit(PRODUCER, 1)
    deduplicator.admit(PRODUCER, SPAN + 2)

    assert deduplicator.admit(PRODUCER, 2) is Admission.TOO_OLD


def test_a_gap_counts_as_missing_once_later_ones_went_past_it():
    """A retry may come a few places late; after that a number is lost."""
    deduplicator = Deduplicator(10)
    for number in (1, 2, 4, 5):
        deduplicator.admit(PRODUCER, number)
    assert deduplicator.missing == 0

    for number in range(6, 3 + REORDER + 1):
        deduplicator.admit(PRODUCER, number)

    assert deduplicator.missing == 1


@given(st.sets(st.integers(1, 200), min_size=1))
def test_missing_numbers_are_those_between_the_first_and_the_reorder_horizon(numbers):
    """Whatever the jumps, each lost number counts once."""
    deduplicator = Deduplicator(10)
    for number in sorted(numbers):
        deduplicator.admit(PRODUCER, number)

    horizon = max(numbers) - REORDER
    assert deduplicator.missing == len(set(range(min(numbers), horizon + 1)) - numbers)


def test_the_producer_that_was_silent_longest_is_forgotten_first():
    """Memory is bounded, whoever connects."""
    deduplicator = Deduplicator(2)
    for producer in (b"a" * 16, b"b" * 16, b"a" * 16, b"c" * 16):
        deduplicator.admit(producer, 1)

    assert deduplicator.forgotten == 1
    assert deduplicator.admit(b"a" * 16, 1) is Admission.DUPLICATE


WINDOW = 300


@given(
    deliveries=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 30), st.integers(0, 50)), max_size=60),
    data=st.data(),
)
def test_changes_added_to_what_was_kept_are_all_there_is(deliveries, data):
    """Whatever happens in between, producers that are forgotten and writes that fail included: then all is written."""
    deduplicator, kept, failed = Deduplicator(3), {}, False

    def write():
        if failed:
            kept.clear()
            kept.update(deduplicator.encode())
        for key, value in deduplicator.encode_changes(deduplicator.take_changes()).items():
            kept.pop(key, None)
            if value is not None:
                kept[key] = value

    for producer, sequence, end in deliveries:
        deduplicator.admit(bytes([producer]) * 16, sequence, end)
        action = data.draw(st.sampled_from(["nothing", "write", "fail"]))
        if action == "write":
            write()
            failed = False
            assert kept == deduplicator.encode()
        elif action == "fail":
            deduplicator.take_changes()
            failed = True
    write()

    assert kept == deduplicator.encode()
    assert deduplicator.take_changes() == frozenset()


@given(deliveries=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.booleans()), min_size=1, max_size=60))
def test_nothing_is_merged_twice_however_many_producers_there_are(deliveries):
    """What is sent again after its producer was forgotten is told by its interval; a restart forgets nothing."""
    deduplicator, admitted = Deduplicator(2), []
    for producer, number, restarts in deliveries:
        if restarts:
            kept = deduplicator.encode()
            deduplicator = Deduplicator(2)
            deduplicator.restore(kept)
        if deduplicator.admit(bytes([producer]) * 16, number, number * WINDOW) is Admission.NEW:
            admitted.append((producer, number))

    assert len(admitted) == len(set(admitted))


def test_a_producer_that_comes_after_others_were_forgotten_is_heard():
    """What it says of now was never said before."""
    deduplicator = Deduplicator(1)
    for number in range(3):
        deduplicator.admit(bytes([number]) * 16, 1, 1000 + number)

    assert deduplicator.admit(b"n" * 16, 1, 2000) is Admission.NEW
    assert deduplicator.admit(b"r" * 16, 1, 500) is Admission.NEW
    assert deduplicator.admit(b"o" * 16, 1, 1000) is Admission.FORGOTTEN
