from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.baseline import Baseline
from otel_ml.baseline import columns as baseline_columns
from otel_ml.baseline.message import from_bytes, to_bytes
from otel_ml.errors import BaselineError
from otel_ml.proto import baseline_pb2 as pb
from otel_ml.sketch.categories import hashed_name
from otel_ml.sketch.feature import FeatureKey, FeatureRole

ROWS = 3_000
NAMES = ["cat", "dog", "eel"]


def data():
    """What was predicted and what was true of three thousand pictures, both with gaps."""
    random = np.random.default_rng(5)
    true = random.choice(NAMES, ROWS, p=[0.5, 0.3, 0.2])
    predicted = np.where(random.random(ROWS) < 0.8, true, random.choice(NAMES, ROWS))
    return {
        "x": random.normal(size=ROWS).tolist(),
        "predicted": [None if index % 70 == 0 else str(name) for index, name in enumerate(predicted)],
        "label": [None if index % 110 == 0 else str(name) for index, name in enumerate(true)],
    }


def counted(predictions, labels):
    """The same counts by pair, as a loop over rows finds them."""
    return Counter((p, t) for p, t in zip(predictions, labels, strict=True) if p is not None and t is not None)


def pairs(confusion):
    """A confusion matrix by pair of names."""
    return {
        (prediction, label): int(confusion.counts[row, column])
        for row, prediction in enumerate(confusion.predictions)
        for column, label in enumerate(confusion.labels)
        if confusion.counts[row, column]
    }


def built(predictions, labels, **settings):
    rows = {"x": [float(index) for index in range(len(predictions))]}
    return Baseline.build(rows, model="m", predictions=predictions, labels=labels, **settings)


def test_predictions_are_counted_by_label():
    """Rows with both, by name; the column of labels is no feature."""
    columns = data()

    baseline = Baseline.build(columns, model="m", predictions="predicted", labels="label")

    assert pairs(baseline.confusion) == counted(columns["predicted"], columns["label"])
    assert (baseline.confusion.predictions, baseline.confusion.labels) == (tuple(NAMES), tuple(NAMES))
    assert list(baseline.features) == [
        FeatureKey(FeatureRole.FEATURE, "x"),
        FeatureKey(FeatureRole.PREDICTION, "prediction"),
    ]


@pytest.mark.parametrize(
    "source", ["pandas", "categories", "polars", "arrow", "chunks", "parquet", "csv", "beside", "array"]
)
def test_every_source_gives_the_same_counts(tmp_path, monkeypatch, source):
    """Wherever the data are, in one piece or in many, the counts and so the id are the same."""
    columns = data()
    expected = Baseline.build(columns, model="m", predictions="predicted", labels="label")
    table = pa.table(columns)
    pa.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=700)
    pa.csv.write_csv(table, tmp_path / "t.csv")
    sources = {
        "pandas": lambda: pd.DataFrame(columns),
        "categories": lambda: pd.DataFrame(columns).astype({"predicted": "category", "label": "category"}),
        "polars": lambda: pl.DataFrame(columns),
        "arrow": lambda: table,
        "chunks": lambda: pa.table(
            {"x": table["x"], "predicted": table["predicted"], "label": _rechunked(table["label"])}
        ),
        "parquet": lambda: tmp_path / "t.parquet",
        "csv": lambda: tmp_path / "t.csv",
        "beside": lambda: {name: columns[name] for name in ("x", "predicted")},
        "array": lambda: {name: columns[name] for name in ("x", "predicted")},
    }
    labels = {"beside": pd.Series(columns["label"]), "array": np.array(columns["label"], object)}.get(source, "label")
    for module in ("columns", "arrow", "files"):
        monkeypatch.setattr(f"otel_ml.baseline.{module}.STEP", 256)
    assert baseline_columns.STEP == 256

    baseline = Baseline.build(sources[source](), model="m", predictions="predicted", labels=labels)

    assert pairs(baseline.confusion) == pairs(expected.confusion)
    assert baseline.id == expected.id


def _rechunked(column):
    return pa.chunked_array([column.slice(0, 1_111).combine_chunks(), column.slice(1_111).combine_chunks()])


classes = st.lists(st.integers(0, 5) | st.none(), min_size=5, max_size=60)


@given(predictions=classes, seed=st.integers(0, 99))
def test_a_confusion_matrix_survives_the_file(predictions, seed):
    """What is read is what was written, whatever was predicted."""
    random = np.random.default_rng(seed)
    labels = [None if value == 5 else value for value in random.integers(0, 6, len(predictions)).tolist()]

    baseline = built(predictions, labels)

    found = {} if baseline.confusion is None else pairs(baseline.confusion)
    expected = counted(predictions, labels)
    assert found == {(str(p), str(t)): count for (p, t), count in expected.items()}
    assert to_bytes(from_bytes(to_bytes(baseline), "again")) == to_bytes(baseline)


def test_only_labels_change_the_id():
    """A baseline without labels is named as it always was."""
    columns = data()
    unlabelled = {name: columns[name] for name in ("x", "predicted")}

    without = Baseline.build(unlabelled, model="m", predictions="predicted")
    excluded = Baseline.build(unlabelled, model="m", predictions="predicted", labels=[None] * ROWS)
    with_labels = Baseline.build(columns, model="m", predictions="predicted", labels="label")

    assert without.confusion is None
    assert excluded.id == without.id != with_labels.id


@pytest.mark.parametrize(
    ("predictions", "labels", "expected"),
    [
        ([0, 1, 1], [1, 1, 0], {("0", "1"), ("1", "1"), ("1", "0")}),
        ([0.0, 1.0, 1.0], [True, True, False], {("0", "1"), ("1", "1"), ("1", "0")}),
        ([False, True, True], [1, 1, 0], {("false", "true"), ("true", "true"), ("true", "false")}),
        (["1", "0"], [1, 1], {("1", "1"), ("0", "1")}),
        ([0, 1], ["no", "yes"], {("0", "no"), ("1", "yes")}),
        ([0.5, 1.5], [0.5, float("inf")], {("0.5", "0.5")}),
        ([0, 1, float("nan")], [float("nan"), 1.0, 1.0], {("1", "1")}),
        (["a", "b", ["c"]], ["a", ["b"], "c"], {("a", "a")}),
    ],
)
def test_classes_go_by_the_names_of_windows(predictions, labels, expected):
    """Labels are read as the predictions are, so that one class has one name on both sides."""
    baseline = built(predictions, labels)

    assert set(pairs(baseline.confusion)) == expected


def test_numbers_without_end_are_no_classes():
    """Of a regression, or of more than 64 labels, nothing is counted, and nothing else changes."""
    many = np.arange(65.0)

    assert built(many, many % 2).confusion is None
    assert built(many % 2, many).confusion is None
    assert built(many % 64, many % 64).confusion.count == 65
    assert built(many, many).id == built(many, [None] * 65).id
    assert built([f"user {index}" for index in range(200)], [1] * 200).confusion is None


def test_hashed_predictions_have_hashed_labels():
    """Names that must not be kept in the clear are not kept beside the hashes either."""
    from otel_ml.baseline.build import build_baseline
    from otel_ml.sketch.feature import ModelKey

    columns = data()
    settings = {"model": ModelKey("m"), "predictions": "predicted", "labels": "label"}
    baseline = build_baseline(columns, **settings, hashed=["predicted"], hash_key="k")

    hashes = {name: hashed_name(name, b"k") for name in NAMES}
    clear = pairs(build_baseline(columns, **settings).confusion)
    assert pairs(baseline.confusion) == {(hashes[p], hashes[t]): count for (p, t), count in clear.items()}
    assert not any(name.encode() in to_bytes(baseline) for name in NAMES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": "lable"}, "column 'lable' does not exist (columns: x, predicted, label); did you mean 'label'?"),
        ({"labels": [1, 2]}, f"labels: 2 rows (dict has {ROWS})"),
        ({"labels": np.zeros((ROWS, 2))}, "labels: 2 columns (expected one label per row)"),
        ({"labels": np.zeros(ROWS, "M8[s]")}, "labels: datetime values are no labels (text, numbers or truth values)"),
        ({"labels": "predicted"}, "column 'predicted' cannot be an output and the labels"),
        ({"labels": "label", "predictions": None}, "labels go with one column of predictions, not 0"),
        ({"labels": "label", "predictions": ["predicted", "x"]}, "labels go with one column of predictions, not 2"),
        ({"labels": "label", "features": ["x", "label"]}, "column 'label' holds the labels: no feature, and read"),
        ({"labels": "label", "categorical": "label"}, "column 'label' holds the labels: no feature, and read"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(settings, message):
    """The message says what is wrong, and what would be right."""
    with pytest.raises(BaselineError) as caught:
        Baseline.build(data(), **{"model": "m", "predictions": "predicted", **settings})

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.confusion.ClearField("labels"), "confusion: 0 labels (1 to 64)"),
        (lambda m: m.confusion.predictions.extend(map(str, range(64))), "confusion: 67 predictions (1 to 64)"),
        (lambda m: m.confusion.labels.__setitem__(0, "dog"), "confusion: a name among the labels is there twice"),
        (lambda m: m.confusion.labels.__setitem__(0, "c" * 129), "confusion: a name of 129 characters (at most 128)"),
        (lambda m: m.confusion.counts.append(1), "confusion: 10 counts (expected 3 predictions by 3 labels)"),
        (lambda m: m.confusion.counts.__setitem__(0, (1 << 64) - 1), "confusion: of 1844674407370955"),
        (lambda m: m.confusion.counts.__setitem__(0, 9_999), " rows, where 2957 have a prediction"),
        (
            lambda m: m.confusion.counts.__setitem__(slice(0, 3), [0, 0, 0]),
            "confusion: a prediction or label has no row",
        ),
        (lambda m: m.features.__delitem__(1), "confusion: goes with one column of predictions, not 0"),
    ],
)
def test_a_file_whose_counts_contradict_it_is_refused(change, message):
    """Names, numbers and sums must agree, whoever wrote the file."""
    baseline = Baseline.build(data(), model="m", predictions="predicted", labels="label")
    written = pb.Baseline.FromString(to_bytes(baseline))
    change(written)

    with pytest.raises(BaselineError) as caught:
        from_bytes(written.SerializeToString(), "m.baseline")

    assert str(caught.value).startswith("m.baseline: confusion: ")
    assert message in str(caught.value)


def test_declared_classes_that_no_row_has_do_not_count():
    """A dictionary may name a thousand values; what matters is which of them are there, truth values and nulls too."""
    many = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 1]), pa.array([f"class {i}" for i in range(1_000)]))
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0], "p": many, "l": pa.array([True, None, False, False])})

    baseline = Baseline.build(table, model="m", predictions="p", labels="l", categorical="prediction")

    assert pairs(baseline.confusion) == {("class 0", "True"): 1, ("class 1", "False"): 1}
