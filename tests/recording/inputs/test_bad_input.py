"""Whatever a client or a model hands over: nothing is raised, all rows are accounted for, and memory stays bounded."""

import tracemalloc
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ml.recording import guard
from otel_ml.recording.accumulator import MAX_FEATURES, ModelAccumulator
from otel_ml.recording.capture import capture
from otel_ml.recording.inference import RECORD, Inference, ModelInfo
from otel_ml.recording.queue import InferenceQueue
from otel_ml.sketch.feature import ModelKey

MODEL = ModelInfo(ModelKey("m"))


def fail(*_, **__):
    raise RuntimeError("not my day")


class Hostile:
    """A value whose every method fails."""

    __hash__ = __eq__ = __float__ = __bool__ = __len__ = __str__ = __repr__ = __getattr__ = __iter__ = fail
    __array__ = __getitem__ = __index__ = __complex__ = __reduce_ex__ = fail


class HostileClass(type):
    """A class that answers to any name, with something that fails."""

    def __getattr__(cls, name):
        return fail


class AnswersToAll(metaclass=HostileClass):
    """Looks like every container there is."""

    def __getattr__(self, name):
        return fail


@dataclass
class Row:
    a: object
    b: object


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - an untyped one, as it comes


def cyclic():
    rows = []
    rows.append(rows)
    return rows


def cyclic_row():
    row = {"x": 1.0}
    row["self"] = row
    return row


LENGTHY = type("Lengthy", (list,), {"__len__": fail})
SHAPED = type("Shaped", (), {"shape": property(fail), "__array__": fail})
MAPPING = type("Mapping", (), {"keys": fail, "__getitem__": fail})

INPUTS = [
    Hostile(),
    [Hostile(), Hostile()],
    {"a": Hostile()},
    {"a": [Hostile()], "b": [1.0]},
    {Hostile.__name__: Hostile(), "x": [1]},
    AnswersToAll(),
    [AnswersToAll()],
    {"a": AnswersToAll()},
    LENGTHY([1]),
    SHAPED(),
    MAPPING(),
    [MAPPING()],
    cyclic(),
    cyclic_row(),
    [cyclic_row()],
    [[1.0], [1.0, 2.0], "x", None, 5],
    [{"a": 1}, [1], None, "x"],
    [np.zeros(3), np.zeros(4)],
    [np.zeros((2, 2)), np.zeros(4)],
    [Row(1.0, 2.0), None, Pair(1, 2)],
    [Pair(1, 2), "x"],
    {"a": [1.0, 2.0], "b": [1.0]},
    {"a": np.zeros((2, 2)), "b": np.zeros((3, 2))},
    {(1, 2): 1.0, None: 2.0, 3: "x", b"b": True},
    {"a": float},
    np.array([{"a": 1}, None], dtype=object),
    np.array(5.0),
    np.array("text"),
    np.array([[1j]]),
    np.zeros((0, 3)),
    np.zeros((3, 0)),
    np.zeros((1, 1, 1, 0)),
    np.empty(2, dtype=[]),
    np.array([(1, (2.0, "x"))], dtype=[("a", "i4"), ("b", [("c", "f8"), ("d", "U1")])]),
    pd.DataFrame(),
    pd.DataFrame({"a": [Hostile()] * 20}),
    pd.Series([], dtype=float),
    pd.Series([[1.0, 2.0], None]),
    pd.DataFrame(index=range(3)),
    {1, 2},
    iter([1]),
    (value for value in [1]),
    float,
    open,
    range(5),
    b"bytes",
    "text",
    10**400,
    None,
    {"inputs": [Hostile()], "x": "y"},
    {"x": "y", "instances": [[Hostile()]]},
    {"dataframe_split": {"columns": 5, "data": Hostile()}},
]


@pytest.mark.parametrize("given_", INPUTS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("operation", [RECORD, "predict"])
@pytest.mark.parametrize("is_output", [False, True])
def test_nothing_is_raised_whatever_comes(given_, operation, is_output):
    """Through the queue and into the summaries; the rows that came before and after are counted."""
    queue = InferenceQueue(10, lambda: True)
    queue.open()
    accumulator = ModelAccumulator(MODEL.key)
    good = Inference(MODEL, operation, [{"a": 1.0, "b": "x"}], [0.5])

    for inference in (
        good,
        Inference(MODEL, operation, None if is_output else given_, given_ if is_output else None),
        good,
    ):
        queue.put(inference)
    taken = queue.take(10)
    accumulator.add(taken)
    drained = accumulator.drain()
    guard.reset()

    assert drained.rows >= 2
    a = next(column.summary for column in drained.columns if column.summary.key.name == "a")
    assert a.counters.rows >= 2
    for column in drained.columns:
        counters = column.summary.counters
        assert 0 <= counters.valid <= counters.rows


def _array(items):
    """Of as many dimensions as numpy finds in them."""
    try:
        return np.array(items, dtype=object)
    except ValueError:  # (None, None) beside a square of them
        array = np.empty(len(items), dtype=object)
        for place, item in enumerate(items):
            array[place] = item
        return array


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=2), st.datetimes()
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.sampled_from(["a", "b", "inputs", "name", "shape", "data", "datatype"]), inner, max_size=4),
        st.lists(inner, max_size=3).map(_array),
        st.builds(Row, inner, inner),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(given_=st.lists(values, min_size=1, max_size=4))
def test_no_failure_is_caught_by_the_last_net(given_):
    """What cannot be read says so itself: only readers may raise, and only before anything was counted."""
    guard.reset()
    accumulator = ModelAccumulator(MODEL.key)

    accumulator.add([Inference(MODEL, "predict", value) for value in given_])
    drained = accumulator.drain()

    failures = set(guard.failures())
    guard.reset()
    assert failures <= {"reading features"}
    for column in drained.columns:
        counters = column.summary.counters
        assert 0 <= counters.valid <= counters.rows <= drained.rows


@pytest.mark.parametrize(
    "rows",
    [
        [{f"key {index}": 1.0} for index in range(4_000)],
        [{f"key {index}": {"x": 1.0}} for index in range(4_000)],
        [{"x": {f"key {index}": 1.0}} for index in range(4_000)],
        [{f"key {index}": 1.0 for index in range(100_000)}],
    ],
    ids=["keys", "nested rows", "nested keys", "a wide row"],
)
def test_a_client_that_invents_keys_cannot_fill_the_memory(rows):
    """Columns are bounded, and the rows that had more are counted."""
    accumulator = ModelAccumulator(MODEL.key, max_features=20)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for start in range(0, len(rows), 500):
        accumulator.add([Inference(MODEL, "predict", rows[start : start + 500])])
    drained = accumulator.drain()
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert len(drained.columns) <= 20
    assert drained.let_go[MAX_FEATURES] > 0
    assert kept < 4 * 1024 * 1024


def test_long_names_are_cut_and_still_found():
    """In rows, matrices and frames alike."""
    name = "x" * 1_000
    accumulator = ModelAccumulator(MODEL.key)
    accumulator.add([Inference(MODEL, "predict", {name: 1.0})])
    accumulator.add([Inference(MODEL, "predict", pd.DataFrame({name: [3.0] * 30}))])

    (column,) = accumulator.drain().columns

    assert len(column.summary.key.name) == 256
    assert column.summary.counters.valid == 31


def test_a_column_that_fails_to_be_copied_is_a_failure_of_ours_only():
    """The request goes on."""
    queue = InferenceQueue(10, lambda: True)
    queue.open()

    queue.put(Inference(MODEL, "predict", SHAPED()))

    assert len(queue.take(10)) <= 1
    guard.reset()


@pytest.mark.parametrize("value", [None, 5, "x", object()])
def test_what_is_no_container_is_kept_as_it_is(value):
    """There is nothing to protect."""
    assert capture(value).value is value
