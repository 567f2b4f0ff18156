"""The queue between requests and the worker."""

import copy

import numpy as np
import pytest

from otel_ml.recording import queue as queue_module
from otel_ml.recording.inference import RECORD, Inference, ModelInfo
from otel_ml.recording.queue import InferenceQueue
from otel_ml.sketch.feature import ModelKey

MODEL = ModelInfo(ModelKey("m"))


def open_queue(size=10):
    queue = InferenceQueue(size, lambda: True)
    queue.open()
    return queue


def test_a_row_is_kept_by_reference():
    """A dict row costs an append, so it is not copied."""
    queue, row = open_queue(), {"a": 1.0}

    queue.put((MODEL, RECORD, row, 0.5, None))

    assert queue.take(10)[0][2] is row


def test_rows_beyond_the_limit_are_let_go_and_counted():
    """A full queue never waits: it counts."""
    queue = open_queue(size=3)

    for _ in range(5):
        queue.put((MODEL, RECORD, {"a": 1.0}, None, None))

    assert len(queue) == 3
    assert [(key.name, tally.queue_full) for key, tally in queue.tallies()] == [("m", 2)]


def test_batches_that_are_let_go_count_all_their_rows():
    """What is reported as dropped are rows, not calls."""
    queue = open_queue(size=0)
    queue.resize(1)
    queue.open()
    queue.put((MODEL, RECORD, {"a": 1.0}, None, None))

    queue.put(Inference(MODEL, "predict", np.zeros((7, 2))))

    assert queue.tallies()[0][1].queue_full == 7


@pytest.mark.parametrize("scores", [None, np.ones((2, 2))])
@pytest.mark.parametrize("predictions", [None, np.ones(2), [1.0, 1.0]])
def test_arrays_are_copied_before_the_caller_reuses_them(predictions, scores):
    """A buffer that is overwritten after the call does not change what was recorded."""
    queue, features, predictions = open_queue(), np.ones((2, 3)), copy.copy(predictions)

    queue.put(Inference(MODEL, "predict", features, predictions, scores))
    features[:] = 7.0
    if isinstance(predictions, np.ndarray):
        predictions[:] = 7.0

    taken = queue.take(1)[0]
    assert np.all(taken[2] == 1.0)
    assert predictions is None or np.all(np.asarray(taken[3]) == 1.0)
    assert len(taken) == len(Inference._fields) + 1


def test_the_bytes_that_wait_are_bounded(monkeypatch):
    """Large arrays are let go although more calls could wait; once they are released there is room again."""
    monkeypatch.setattr(queue_module, "MAX_WEIGHT", 2_000)
    queue = open_queue(size=1_000)
    features = np.zeros((10, 10))

    for _ in range(50):
        queue.put(Inference(MODEL, "predict", features))

    assert len(queue) == 3
    assert queue.tallies()[0][1].queue_full == 470
    for taken in queue.take(3):
        queue.release([taken])
    queue.put(Inference(MODEL, "predict", features))
    assert len(queue) == 1


def test_a_closed_queue_asks_to_be_opened_and_keeps_nothing_if_it_is_not():
    """Off, not yet started and shut down all cost one test."""
    asked = []
    queue = InferenceQueue(10, lambda: bool(asked.append(1)))

    queue.put((MODEL, RECORD, {"a": 1.0}, None, None))

    assert asked == [1]
    assert len(queue) == 0
    assert queue.tallies() == []


def test_reset_forgets_what_the_parent_will_report():
    """A forked child begins with nothing, and closed."""
    queue = open_queue(size=1)
    for _ in range(3):
        queue.put((MODEL, RECORD, {"a": 1.0}, None, None))

    queue.reset()

    assert len(queue) == 0
    assert queue.tallies() == []
    assert queue.is_closed


def test_drops_are_told_apart_for_a_bounded_number_of_models():
    """A program that makes up model names cannot make the tallies grow for ever."""
    queue = open_queue(size=1)
    queue.put((MODEL, RECORD, {"a": 1.0}, None, None))

    for index in range(1_000):
        queue.put((ModelInfo(ModelKey(f"m{index}")), RECORD, {"a": 1.0}, None, None))

    tallies = dict(queue.tallies())
    assert len(tallies) <= queue_module.MAX_MODELS + 1
    assert sum(tally.queue_full for tally in tallies.values()) == 1_000
