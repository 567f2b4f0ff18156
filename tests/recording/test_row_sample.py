"""Rows that leave the process as they are, where the user wants that."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import chi2

from otel_ml.baseline import Baseline
from otel_ml.config import Settings
from otel_ml.errors import ConfigurationError
from otel_ml.recording import guard
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import RECORD, ModelInfo
from otel_ml.recording.privacy import PrivacyPolicy, Redactor, names_of
from otel_ml.recording.row_sample import SNAPSHOT_BYTES, sampled_rows
from otel_ml.recording.slots import Slot, Slots
from otel_ml.sketch import codec
from otel_ml.sketch.categories import hashed_name
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.row_sample import EVERY_ROW, MAX_COLUMNS, SampledColumn
from otel_ml.sketch.snapshot import Segment, Snapshot

KEY = ModelKey("m", "1")
MODEL = ModelInfo(KEY)


@pytest.fixture(autouse=True)
def no_failure_of_ours():
    """Bad input is no failure: nothing may have been caught by the last net."""
    guard.reset()
    yield
    assert guard.failures() == {}


def told(row):
    return (MODEL, RECORD, row, None, None)


def sampled(*inputs, size=100, **settings):
    """The sample of one interval, by column name."""
    accumulator = ModelAccumulator(KEY, sample_rows=size, **settings)
    accumulator.add([told(features) for features in inputs])
    return accumulator.drain().row_sample


def column(sample, name):
    [values] = [values for key, values in sample.columns.items() if key.name == name]
    return values.tolist()


def test_rows_stay_in_the_process_unless_someone_asks_for_them():
    """The default sends summaries only."""
    accumulator = ModelAccumulator(KEY)
    accumulator.add([told({"amount": 1.0})])

    assert accumulator.drain().row_sample is None
    assert Settings().sample_rows == 0


@pytest.mark.parametrize(
    "container",
    [
        [{"a": 1.0, "b": "x", "c": True}, {"a": 2.0, "b": None, "c": False}, {"b": "y", "c": True}],
        pd.DataFrame({"a": [1.0, 2.0, None], "b": ["x", None, "y"], "c": [True, False, True]}),
        pl.DataFrame({"a": [1.0, 2.0, None], "b": ["x", None, "y"], "c": [True, False, True]}),
        {"a": [1.0, 2.0, None], "b": ["x", None, "y"], "c": [True, False, True]},
    ],
)
def test_rows_are_read_from_any_container(container):
    """Numbers as they are, categories by their names, truth values as True and False; None and NaN where missing."""
    sample = sampled(container)

    rows = sorted(zip(column(sample, "b"), column(sample, "c"), column(sample, "a"), strict=True), key=str)
    assert [row[:2] for row in rows] == [("x", "True"), ("y", "True"), (None, "False")]
    assert rows[0][2] == 1.0
    assert math.isnan(rows[1][2])
    assert rows[2][2] == 2.0
    assert sample.threshold == EVERY_ROW


def test_rows_are_read_from_matrices_dense_and_sparse():
    """What a sparse row does not store is zero."""
    dense = np.array([[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]])

    of_dense, of_sparse = sampled(dense), sampled(csr_matrix(dense))

    assert sorted(zip(*(column(of_dense, f"f{place}") for place in range(3)), strict=True)) == sorted(map(tuple, dense))
    assert sorted(zip(*(column(of_sparse, f"f{place}") for place in range(3)), strict=True)) == sorted(
        map(tuple, dense)
    )


def test_texts_vectors_and_points_in_time_stay():
    """They are summarised, and no row shows them."""
    row = {
        "question": "a text of many words that nobody would take for the name of a category at all " * 2,
        "embedding": [1.0, 2.0],
        "when": pd.Timestamp("2026-01-01"),
        "image": object(),
        "amount": 1.0,
    }

    assert [key.name for key in sampled(row).columns] == ["amount"]


def test_columns_within_columns_are_read_as_they_are_summarised():
    """A row inside a row, as "outer.inner"."""
    sample = sampled({"user": {"age": 30.0, "country": "NO"}, "amount": 1.0})

    assert [key.name for key in sample.columns] == ["amount", "user.age", "user.country"]
    assert column(sample, "user.country") == ["NO"]


def test_values_of_any_type_are_read_or_left_out():
    """What is no number in a column of numbers is missing, and nothing fails."""

    class Odd:
        def __float__(self):
            raise RuntimeError

    values = [
        1.0,
        2,
        True,
        Decimal("4.5"),
        np.float32(8.0),
        10**400,
        "text",
        None,
        math.inf,
        Odd(),
        float("nan"),
    ]
    sample = sampled(*({"amount": value} for value in [0.0] * 30 + values))

    present = sorted(value for value in column(sample, "amount") if not math.isnan(value) and value)
    assert present == [1.0, 1.0, 2.0, 4.5, 8.0]


def test_every_row_has_the_same_chance():
    """Chi-squared over the places of sampled rows, early and late, in batches and alone."""
    counts = np.zeros(10)
    for _ in range(60):
        accumulator = ModelAccumulator(KEY, sample_rows=50)
        places = np.arange(2_000.0)
        accumulator.add([told(places[start : start + 500].reshape(-1, 1)) for start in (0, 500)])
        accumulator.add([told({"f0": place}) for place in places[1_000:].tolist()])
        sample = accumulator.drain().row_sample
        assert len(sample) == 50
        counts += np.bincount((np.array(column(sample, "f0")) // 200).astype(int), minlength=10)

    expected = counts.sum() / 10
    assert chi2.sf(float(((counts - expected) ** 2 / expected).sum()), 9) > 0.001


def test_each_interval_begins_with_room_for_every_row():
    """A busy interval does not thin out the next one."""
    accumulator = ModelAccumulator(KEY, sample_rows=20)
    accumulator.add([told(np.zeros((5_000, 1)))])
    accumulator.drain()
    accumulator.add([told(np.ones((15, 1)))])

    sample = accumulator.drain().row_sample
    assert column(sample, "f0") == [1.0] * 15
    assert sample.threshold == EVERY_ROW


def test_wide_rows_are_fewer_and_narrower():
    """64 KB and 100 columns a snapshot, those whose names come first."""
    sample = sampled(np.random.default_rng(1).normal(size=(2_000, 3_000)), size=2_000, max_features=3_000)
    snapshot = Snapshot(bytes(16), 1, KEY, 0, 1, 2_000, 0, [], row_sample=sample)

    assert [key.name for key in sample.columns] == sorted(f"f{place}" for place in range(3_000))[:MAX_COLUMNS]
    assert 50 < len(sample) < 100
    assert len(codec.encode(snapshot)) < SNAPSHOT_BYTES + 200


def test_only_the_whole_of_a_model_is_sampled():
    """The rows of a segment are in the whole already."""
    slots = Slots(interval_ns=1, max_features=10, sample_rows=5)
    for slot in (Slot(), Slot(segment=Segment("country", "NO"))):
        slots.of(KEY, slot).add([told({"amount": 1.0})])

    samples = [accumulator.drain().row_sample for _, _, accumulator in slots.items()]
    assert [sample is None for sample in samples] == [False, True]


def redacted(rows, baseline=None, **settings):
    policy = PrivacyPolicy(Settings(**settings))
    accumulator = ModelAccumulator(KEY, baseline=baseline, privacy=policy, sample_rows=1_000)
    accumulator.add([told(row) for row in rows])
    drained = accumulator.drain()
    redactor = Redactor(policy, names_of(baseline))
    redactor.redact(drained.columns)
    return redactor.redact_rows(drained.row_sample, drained.columns)


def test_columns_that_may_not_leave_are_in_no_row():
    """`features` and `exclude_features` hold for rows as for summaries."""
    row = {"amount": 1.0, "age": 2.0, "device_id": "x"}

    assert [key.name for key in redacted([row], exclude_features=("device_*",), min_category_count=1).columns] == [
        "age",
        "amount",
    ]
    assert [key.name for key in redacted([row], features=("amount",)).columns] == ["amount"]


def test_hashed_categories_leave_as_hashes():
    """The same as in summaries, with the same key."""
    sample = redacted([{"country": "NO"}] * 3, hash_features=("country",), hash_key="secret")

    assert column(sample, "country") == [hashed_name("NO", b"secret")] * 3


def test_rare_names_leave_neither_in_summaries_nor_in_rows():
    """Who is alone in a category is not told by the sample; names of the baseline's are."""
    rows = [{"country": "NO", "late": True}] * 20 + [{"country": "VA", "late": True}] * 2

    assert set(column(redacted(rows), "country")) == {"NO", "_OTHER"}
    assert set(column(redacted(rows, min_category_count=1), "country")) == {"NO", "VA"}
    baseline = Baseline.build({"country": ["NO", "VA"], "late": [True, False]}, model="m")
    assert set(column(redacted(rows, baseline), "country")) == {"NO", "VA"}
    assert set(column(redacted(rows), "late")) == {"True"}


def test_no_rows_leave_where_no_values_may():
    """`sample_values` is the stricter word, and someone is told."""
    assert sampled_rows(Settings(sample_rows=50)) == 50
    assert sampled_rows(Settings(sample_rows=50, sample_values=False)) == 0


@pytest.mark.parametrize("value", [-1, 2_001, 1.5, True, "many"])
def test_the_number_of_rows_is_checked(value):
    """0 to 2,000."""
    with pytest.raises(ConfigurationError, match="sample_rows"):
        Settings.from_environment({}, sample_rows=value)


def test_the_number_of_rows_comes_from_the_environment():
    """OTEL_PYTHON_ML_SAMPLE_ROWS."""
    assert Settings.from_environment({"OTEL_PYTHON_ML_SAMPLE_ROWS": "50"}).sample_rows == 50


def test_a_column_of_the_same_name_in_prediction_is_no_feature():
    """Rows are of inputs."""
    accumulator = ModelAccumulator(KEY, sample_rows=5)
    accumulator.add([(MODEL, RECORD, {"amount": 1.5}, {"amount": "x", "other": 1.0}, None)])

    sample = accumulator.drain().row_sample
    assert list(sample.columns) == [SampledColumn("amount", is_numeric=True)]
    assert column(sample, "amount") == [1.5]


def test_a_sample_holds_exactly_the_rows_below_its_threshold(monkeypatch):
    """However rows come, those that are left out have larger priorities than those that are in."""
    accumulator = ModelAccumulator(KEY, sample_rows=7)
    sampler, seen = accumulator._sampler, {}
    draw = sampler._draw

    def watched(rows):
        # All that may be in the sample come by here; the others are above a threshold that only falls.
        drawn = draw(rows)
        seen.update({priority: None for _, priority in drawn})
        return drawn

    monkeypatch.setattr(sampler, "_draw", watched)
    for size in (1, 3, 500, 2, 2_500, 40):
        accumulator.add([told(np.zeros((size, 200)))])

    sample = accumulator.drain().row_sample
    assert len(sample) == 7
    assert sample.priorities.tolist() == sorted(seen)[:7]
    assert sample.threshold == sorted(seen)[7]
