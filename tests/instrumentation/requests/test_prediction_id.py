"""Ids of predictions."""

import os
import threading
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.instrumentation.requests.prediction_id import id_from_headers, new_prediction_id


@given(st.binary(max_size=300))
def test_no_header_can_smuggle_in_an_unprintable_or_huge_id(value):
    """What a stranger sends becomes an attribute only if it is short and printable."""
    found = id_from_headers([(b"x-request-id", value)])

    assert found is None or (0 < len(found) <= 128 and found.isascii() and found.isprintable())


def test_made_ids_are_unique_and_sort_by_time():
    """UUIDv7: version and variant as RFC 9562 asks, time in front."""
    ids = [new_prediction_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert {(uuid.UUID(made).version, uuid.UUID(made).variant) for made in ids} == {(7, uuid.RFC_4122)}
    assert [made[:13] for made in ids] == sorted(made[:13] for made in ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_makes_ids_of_its_own():
    """Workers begin at the same moment, and in the same state but for this."""
    new_prediction_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_prediction_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs, ours = os.read(reading, 100).decode(), new_prediction_id()
    os.close(reading)
    os.close(writing)

    assert theirs[14:30] != ours[14:30]


def test_ids_tell_the_time_they_were_made():
    """To 16 ms, which a UUIDv7 may be behind."""
    before = time.time_ns() // 1_000_000
    made = [new_prediction_id()]
    time.sleep(0.02)
    made.append(new_prediction_id())
    after = time.time_ns() // 1_000_000

    first, second = (int(made_id.replace("-", "")[:12], 16) for made_id in made)
    assert before - 16 <= first < second <= after


def test_threads_never_share_an_id():
    """Although they share the block that ids are taken from."""
    made = [[] for _ in range(8)]
    threads = [
        threading.Thread(target=lambda ids=ids: ids.extend(new_prediction_id() for _ in range(5_000))) for ids in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({own_id for ids in made for own_id in ids}) == 40_000


@pytest.mark.parametrize(
    "headers",
    [
        [(b"ce-id", b"event"), (b"x-request-id", b"request"), (b"x-request-id", b"another")],
        [("x-request-id", "request"), ("ce-id", "event")],
        [(b"host", b"x"), (b"x-request-id", b" request ")],
    ],
)
def test_the_first_request_id_goes_before_all_others(headers):
    """As text or bytes, wherever it stands."""
    assert id_from_headers(headers) == "request"


def test_an_unfit_request_id_leaves_the_next_header():
    """And none at all leaves nothing."""
    assert id_from_headers([(b"x-request-id", b"\x00"), (b"ce-id", b"event")]) == "event"
    assert id_from_headers([(b"host", b"x")]) is id_from_headers([]) is None
