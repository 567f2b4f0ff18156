"""What the crash test compares: the truth that it keeps, and how it tells a loss from a double."""

from collections import Counter

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from benchmarks.crash.traffic import Traffic
from benchmarks.crash.truth import Truth, compare
from collector_processor.receivers.decode import read_logs


def test_the_truth_is_what_the_requests_hold(traffic):
    """Every snapshot that is sent is in the truth, once, and every one in the truth is sent."""
    deliveries = [traffic.next() for _ in range(400)] + traffic.rest()

    found, seen = Truth(traffic.truth.window_ns), set()
    for snapshot in snapshots(deliveries):
        if (snapshot.producer_id, snapshot.sequence) not in seen:
            seen.add((snapshot.producer_id, snapshot.sequence))
            found.add(snapshot)
    assert compare(traffic.truth.windows, found.windows).is_none
    assert found.snapshots == traffic.truth.snapshots


def test_some_are_sent_twice_and_out_of_order(traffic):
    """Without duplicates and reordering the test would prove little."""
    deliveries = [traffic.next() for _ in range(400)] + traffic.rest()

    marks = [(snapshot.producer_id, snapshot.sequence) for snapshot in snapshots(deliveries)]
    assert any(count > 1 for count in Counter(marks).values())
    latest, is_reordered = {}, False
    for producer, sequence in marks:
        is_reordered |= sequence < latest.get(producer, 0)
        latest[producer] = max(sequence, latest.get(producer, 0))
    assert is_reordered


def test_every_identity_is_sent_once(traffic):
    """A record that passes through arrives twice only if somebody on the way sent it twice."""
    deliveries = [traffic.next() for _ in range(400)] + traffic.rest()

    together = b"".join(delivery.body for delivery in deliveries)
    counts = [together.count(f"identity-{number:012d}".encode()) for number in range(traffic.truth.identities)]
    assert len(counts) > 400
    assert set(counts) == {1}


def test_the_same_seed_gives_the_same_load():
    """What failed once can be tried again."""
    loads = [[traffic.next() for _ in range(50)] for traffic in (Traffic(7), Traffic(7))]

    assert loads[0] == loads[1]


def test_a_lost_snapshot_is_found(traffic):
    """One snapshot too few shows in rows and in cells."""
    known, found = two_of_the_same(traffic)
    found.pop()

    difference = compare(truth_of(known).windows, truth_of(found).windows)

    assert difference.lost == known[-1].rows
    assert difference.doubled == 0
    assert difference.wrong_cells > 0
    assert difference.where


def test_a_doubled_snapshot_is_found(traffic):
    """One snapshot too many shows in rows and in cells."""
    known, found = two_of_the_same(traffic)
    found.append(found[-1])

    difference = compare(truth_of(known).windows, truth_of(found).windows)

    assert difference.lost == 0
    assert difference.doubled == known[-1].rows
    assert difference.wrong_cells > 0


def test_a_window_that_nobody_sent_is_found(traffic):
    """What is there without having been sent is too much."""
    known, found = two_of_the_same(traffic)

    difference = compare({}, truth_of(found).windows)

    assert difference.doubled == sum(snapshot.rows for snapshot in known)


@pytest.fixture
def traffic():
    return Traffic(1)


def snapshots(deliveries):
    """The snapshots in the logs requests, as the processor reads them."""
    bodies = [delivery.body for delivery in deliveries if "LogsService" in delivery.method]
    assert all(ExportLogsServiceRequest.FromString(body).resource_logs for body in bodies)
    return [snapshot for body in bodies for snapshot in read_logs(body, take=True).snapshots]


def two_of_the_same(traffic):
    seen = {}
    for snapshot in snapshots([traffic.next() for _ in range(20)]):
        seen[snapshot.producer_id, snapshot.sequence] = snapshot
    return list(seen.values()), list(seen.values())


def truth_of(found):
    truth = Truth(Traffic(1).truth.window_ns)
    for snapshot in found:
        truth.add(snapshot)
    return truth
