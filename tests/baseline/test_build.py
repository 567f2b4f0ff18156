import dataclasses
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from otel_ml.baseline import Baseline
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey

ROWS = 3_000


def columns():
    """Columns of every kind, with gaps, as plain lists."""
    random = np.random.default_rng(11)
    amounts = [None if index % 50 == 0 else float(value) for index, value in enumerate(random.lognormal(size=ROWS))]
    return {
        "amount": amounts,
        "age": random.integers(18, 90, ROWS).tolist(),
        "member": [None if index % 70 == 0 else bool(value) for index, value in enumerate(random.random(ROWS) < 0.3)],
        "country": [None if index % 90 == 0 else str(c) for index, c in enumerate(random.choice(["NZ", "DE"], ROWS))],
        "user": [f"u{value}" for value in random.integers(0, 2_000, ROWS)],
        "score": random.random(ROWS).round(3).tolist(),
    }


def sources(folder):
    data = columns()
    table = pa.table(data)
    pa.parquet.write_table(table, folder / "train.parquet", row_group_size=700)
    pa.csv.write_csv(table, folder / "train.csv")
    with pa.CompressedOutputStream(str(folder / "zipped.csv.gz"), "gzip") as sink:
        pa.csv.write_csv(table, sink)
    frame = pd.DataFrame(data)
    return {
        "lists": data,
        "arrays": {name: np.array(values, dtype=object) for name, values in data.items()},
        "series": {name: pd.Series(values) for name, values in data.items()},
        "pandas": frame,
        "pandas, nullable": frame.convert_dtypes(),
        "pandas, codes": frame.astype({"country": "category", "user": "category"}),
        "pandas, arrow": pd.DataFrame(
            {name: table.column(name).to_pandas(types_mapper=pd.ArrowDtype) for name in data}
        ),
        "polars": pl.DataFrame(data),
        "polars, lazy": pl.LazyFrame(data),
        "polars, codes": pl.DataFrame(data).with_columns(pl.col("country", "user").cast(pl.Categorical)),
        "arrow": table,
        "arrow, chunks": pa.concat_tables([table.slice(0, 1_234), table.slice(1_234)]),
        "record batch": table.combine_chunks().to_batches()[0],
        "structured array": frame.to_records(index=False).view(np.ndarray),
        "parquet": str(folder / "train.parquet"),
        "csv": folder / "train.csv",
        "csv, compressed": folder / "zipped.csv.gz",
    }


NAMES = [
    "lists", "arrays", "series", "pandas", "pandas, nullable", "pandas, codes", "pandas, arrow", "polars",
    "polars, lazy", "polars, codes", "arrow", "arrow, chunks", "record batch", "structured array", "parquet", "csv",
    "csv, compressed",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def from_lists(data):
    return Baseline.build(data["lists"], model="m", scores="score")


def test_every_source_is_compared(data):
    """The list of names above is that of the sources."""
    assert sorted(data) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_data_make_the_same_baseline(name, data, from_lists):
    """Whichever library or file holds the data, the contents, and so the id, are the same."""
    built = Baseline.build(data[name], model="m", scores="score")

    assert {key.name: summary.counters for key, summary in built.features.items()} == {
        key.name: summary.counters for key, summary in from_lists.features.items()
    }
    assert built.id == from_lists.id


def test_other_data_make_another_baseline(data, from_lists):
    """The id changes with a single value, with the model and with its version."""
    changed = {**data["lists"], "age": [*data["lists"]["age"][:-1], 17]}

    ids = {
        from_lists.id,
        Baseline.build(changed, model="m", scores="score").id,
        Baseline.build(data["lists"], model="n", scores="score").id,
        Baseline.build(data["lists"], model="m", version="2", scores="score").id,
    }

    assert len(ids) == 4


def test_columns_keep_their_order_and_outputs_come_last(from_lists):
    """Features come in the order of the data."""
    assert [key.name for key in from_lists.features] == ["amount", "age", "member", "country", "user", "score"]
    assert list(from_lists.features)[-1] == FeatureKey(FeatureRole.SCORE, "score")
    assert list(from_lists.layouts) == [key for key, s in from_lists.features.items() if s.kind is FeatureKind.NUMERIC]


def test_summaries_say_what_the_data_say(data, from_lists):
    """Counts, moments and categories are those of the data."""
    lists = data["lists"]
    amounts = [value for value in lists["amount"] if value is not None]
    amount, age = from_lists.feature("amount"), from_lists.feature("age")
    layout = from_lists.layout(amount.key)

    assert from_lists.rows == ROWS
    assert amount.counters.missing == lists["amount"].count(None)
    assert amount.content.moments.mean == pytest.approx(np.mean(amounts))
    assert amount.content.moments.variance == pytest.approx(np.var(amounts, ddof=1))
    assert amount.content.bins[layout.hash].counts.tolist() == layout.count_sorted(np.sort(amounts)).tolist()
    assert amount.content.exact is None
    assert age.content.exact.distribution().points.tolist() == sorted(set(lists["age"]))
    assert from_lists.feature("member").content.true_count == lists["member"].count(True)
    assert from_lists.feature("country").content.categories.counts == {
        "NZ": lists["country"].count("NZ"),
        "DE": lists["country"].count("DE"),
    }
    assert from_lists.feature("user").content.cardinality.estimate() == pytest.approx(len(set(lists["user"])), rel=0.1)


def test_infinite_values_are_counted_and_left_out():
    """Infinite values are in the counters and in no sketch."""
    built = Baseline.build({"x": [1.0, float("inf"), float("-inf"), float("nan"), None, 10**400]}, model="m")

    counters = built.feature("x").counters
    assert (counters.rows, counters.missing) == (6, 2)
    assert (counters.positive_infinite, counters.negative_infinite) == (2, 1)
    assert built.feature("x").content.moments.count == 1


def test_a_column_is_of_the_kind_most_values_are_of():
    """Odd values among numbers are mismatches, as they are at serving."""
    built = Baseline.build({"x": [1, 2, Decimal("2.5"), "12", None], "y": ["a", "b", 3, [4], None]}, model="m")

    assert built.feature("x").kind is FeatureKind.NUMERIC
    assert built.feature("x").counters.mismatched == 1
    assert built.feature("x").counters.missing == 1
    assert built.feature("y").content.categories.counts == {"a": 1, "b": 1, "3": 1}
    assert built.feature("y").counters.mismatched == 1


MOMENTS = [datetime(2013, 1, 1), None, datetime(2013, 1, 3)]  # noqa: DTZ001 - numpy takes no others


@pytest.mark.parametrize(
    "moments",
    [
        {"when": MOMENTS},
        {"when": np.array(MOMENTS, dtype="M8[s]")},
        pd.DataFrame({"when": MOMENTS}),
        pd.DataFrame({"when": pd.Series(MOMENTS).dt.tz_localize("UTC")}),
        pl.DataFrame({"when": MOMENTS}),
        pa.table({"when": MOMENTS}),
    ],
    ids=["list", "array", "pandas", "pandas, zone", "polars", "arrow"],
)
def test_points_in_time_of_every_library_are_read(moments):
    """With or without a time zone, the same moments make the same summary."""
    summary = Baseline.build(moments, model="m").feature("when")

    assert summary.kind is FeatureKind.DATETIME
    assert (summary.counters.rows, summary.counters.missing) == (3, 1)
    assert (summary.content.epochs.minimum, summary.content.epochs.maximum) == (1356998400.0, 1357171200.0)
    assert summary.content.weekdays.tolist() == [0, 1, 0, 1, 0, 0, 0]
    assert summary.content.ages.count == 0


def described():
    """Texts, points in time and vectors with gaps, as plain lists."""
    random = np.random.default_rng(7)
    sizes = random.integers(0, 30, ROWS)
    return {
        "question": [None if index % 50 == 0 else "why " * size + str(index) for index, size in enumerate(sizes)],
        "asked": [
            None if index % 70 == 0 else datetime(2024, 1, 1) + timedelta(seconds=float(at))  # noqa: DTZ001 - as numpy
            for index, at in enumerate(random.uniform(0, 1e7, ROWS))
        ],
        "meaning": random.normal(size=(ROWS, 6)).round(3).tolist(),
    }


def described_sources(folder):
    data = described()
    table = pa.table(data)
    pa.parquet.write_table(table, folder / "described.parquet", row_group_size=700)
    vectors = np.array(data["meaning"])
    frame = pd.DataFrame(data)
    return {
        "arrays": {"question": data["question"], "asked": np.array(data["asked"], "M8[us]"), "meaning": vectors},
        "arrays of lists": {name: pd.Series(values).to_numpy() for name, values in data.items()},
        "pandas": frame,
        "pandas, arrays": frame.assign(meaning=list(vectors)),
        "pandas, zone": frame.assign(asked=frame["asked"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")),
        "pandas, arrow": pd.DataFrame(
            {name: table.column(name).to_pandas(types_mapper=pd.ArrowDtype) for name in data}
        ),
        "polars": pl.DataFrame(data),
        "polars, arrays": pl.DataFrame(data, schema_overrides={"meaning": pl.Array(pl.Float64, 6)}),
        "arrow": pa.concat_tables([table.slice(0, 1_234), table.slice(1_234)]),
        "arrow, fixed": table.set_column(2, "meaning", pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 6)),
        "parquet": folder / "described.parquet",
    }


@pytest.fixture(scope="module")
def described_data(tmp_path_factory):
    return described_sources(tmp_path_factory.mktemp("described"))


DESCRIBED = [
    "arrays", "arrays of lists", "pandas", "pandas, arrays", "pandas, zone", "pandas, arrow", "polars",
    "polars, arrays", "arrow", "arrow, fixed", "parquet",
]  # fmt: skip


@pytest.mark.parametrize("name", DESCRIBED)
def test_texts_moments_and_vectors_make_the_same_baseline(name, described_data):
    """Whichever library or file holds them."""
    assert sorted(described_data) == sorted(DESCRIBED)

    built = Baseline.build(described_data[name], model="m")

    kinds = [summary.kind for summary in built.features.values()]
    assert kinds == [FeatureKind.TEXT, FeatureKind.DATETIME, FeatureKind.EMBEDDING]
    assert built.id == Baseline.build(described(), model="m").id


def test_texts_are_summarised_by_their_lengths():
    """Bins are cut for characters; words are known too, and none of them is kept."""
    data = described()
    texts = [text for text in data["question"] if text is not None]

    built = Baseline.build(data, model="m")

    question = built.feature("question")
    lengths, layout = question.content.lengths, built.layout(question.key)
    assert question.counters.missing == data["question"].count(None)
    assert lengths.moments.mean == pytest.approx(np.mean([len(text) for text in texts]))
    assert lengths.bins[layout.hash].count == lengths.quantiles.count == lengths.histogram.count == len(texts)
    assert question.content.words.moments.maximum == max(len(text.split()) for text in texts)
    assert question.content.words.bins == {}
    assert question.content.cardinality.estimate() == pytest.approx(len(set(texts)), rel=0.1)


def test_vectors_are_summarised_by_their_moments():
    """Bins are cut for their norms."""
    data = described()
    matrix = np.array(data["meaning"])

    built = Baseline.build(data, model="m")

    meaning = built.feature("meaning")
    assert (meaning.content.dimensions, meaning.content.count) == (6, ROWS)
    assert np.allclose(meaning.content.mean(), matrix.mean(axis=0))
    assert np.allclose(meaning.content.scatter() / (ROWS - 1), np.cov(matrix, rowvar=False), atol=1e-5)
    assert meaning.content.norms.bins[built.layout(meaning.key).hash].count == ROWS


def test_vectors_of_rare_lengths_are_mismatched():
    """The most frequent length counts, wherever it comes; so do only finite numbers."""
    vectors = [[1.0, 2.0], [1.0], None, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [1.0, float("nan"), 2.0], "x"]

    summary = Baseline.build({"v": vectors}, model="m").feature("v")

    assert (summary.content.dimensions, summary.content.count) == (3, 2)
    assert (summary.counters.missing, summary.counters.mismatched) == (1, 4)


def test_a_column_is_text_or_categories_as_the_user_says():
    """Whatever it looks like."""
    data = {"short": ["a", "b", None], "long": [f"please tell me about {value}" for value in range(3)]}

    built = Baseline.build(data, model="m", text="short", categorical="long")

    assert [summary.kind for summary in built.features.values()] == [FeatureKind.TEXT, FeatureKind.CATEGORICAL]


def test_documents_that_only_come_late_are_texts_after_all():
    """The first thousands look like categories, but most of the column is too long to be kept."""
    built = Baseline.build({"x": ["short"] * 10_000 + ["word " * 50] * 10_001}, model="m")

    assert built.feature("x").kind is FeatureKind.TEXT
    assert built.feature("x").content.count == 20_001


@pytest.mark.parametrize("empty", [[None, None], np.array([np.nan, np.nan]), pd.Series([None, None], dtype="str")])
def test_columns_without_a_value_have_no_bins(empty):
    """A column that is always missing is kept, with its counters."""
    built = Baseline.build({"x": empty, "y": [1, 2]}, model="m")

    assert built.feature("x").counters.missing == 2
    assert built.layout(FeatureKey(FeatureRole.FEATURE, "x")) is None


def test_numbers_named_categorical_are_categories():
    """Codes go by their name in the data, and outputs by their own as well."""
    frame = pd.DataFrame({"store": [1.0, 2.0, 2.0], "label": [0, 1, 1]})

    built = Baseline.build(frame, model="m", predictions="label", categorical=["store", "prediction"])

    assert built.feature("store").content.categories.counts == {"1": 1, "2": 2}
    assert built.feature("prediction", FeatureRole.PREDICTION).content.categories.counts == {"0": 1, "1": 2}


def test_unused_codes_of_pandas_are_not_there():
    """Categories that a pandas type declares but no row has are not part of the baseline."""
    series = pd.Series(["a", "b"], dtype=pd.CategoricalDtype(["a", "b", "c"]))

    built = Baseline.build({"x": series}, model="m")

    assert built.feature("x").content.categories.counts == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("p", ["prediction"]),
        (["p"], ["prediction"]),
        (["p", "q"], ["p", "q"]),
        ({"first": "p", "second": [1, 2, 3]}, ["first", "second"]),
        ([0.5, 0.6, 0.7], ["prediction"]),
        (["cat", "dog", "cat"], ["prediction"]),
        (np.array([0.5, 0.6, 0.7]), ["prediction"]),
        (np.array([[0.5], [0.6], [0.7]]), ["prediction"]),
        (np.zeros((3, 2)), ["0", "1"]),
        ([[0, 1], [2, 3], [4, 5]], ["0", "1"]),
        (pd.Series([1, 2, 3]), ["prediction"]),
        (pl.Series([1, 2, 3]), ["prediction"]),
        (pa.array([1, 2, 3]), ["prediction"]),
        (pd.DataFrame({"price": [1, 2, 3]}), ["prediction"]),
        (pd.DataFrame({"low": [1, 2, 3], "high": [1, 2, 3]}), ["low", "high"]),
        ([], []),
    ],
    ids=repr,
)
def test_outputs_are_called_as_recording_calls_them(given, expected):
    """A single output goes by its role, several by their own names, as in the snapshots of a server."""
    data = {"x": [1, 2, 3], "p": [1, 2, 3], "q": [1, 2, 3]}

    built = Baseline.build(data, model="m", predictions=given)

    assert [key.name for key in built.features if key.role is FeatureRole.PREDICTION] == expected


def test_of_two_probabilities_the_second_is_the_score():
    """What predict_proba gives for two classes becomes the one score that recording keeps of it."""
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])

    built = Baseline.build({"x": [1, 2]}, model="m", scores=probabilities)

    assert built.feature("score", FeatureRole.SCORE).content.exact.distribution().points.tolist() == [0.1, 0.8]


def test_matrices_have_the_names_given_or_those_of_recording():
    """A matrix without names has the columns that recording would call it."""
    matrix = np.arange(6.0).reshape(3, 2)

    assert [key.name for key in Baseline.build(matrix, model="m", features=["a", "b"]).features] == ["a", "b"]
    assert [key.name for key in Baseline.build(matrix, model="m").features] == ["f0", "f1"]


def test_features_can_be_chosen():
    """Only the named columns are features, in the given order."""
    built = Baseline.build({"a": [1], "b": [2], "c": [3]}, model="m", features=["c", "a"], predictions="b")

    assert [key.name for key in built.features] == ["c", "a", "prediction"]


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ({"amount": [1], "age": [2]}, {"features": ["amout"]}, "column 'amout' does not exist (columns: amount, age)"),
        ({"amount": [1], "age": [2]}, {"features": ["amout"]}, "; did you mean 'amount'?"),
        ({"amount": [1]}, {"categorical": ["Amount"]}, "did you mean 'amount'?"),
        ({"amount": [1]}, {"predictions": "zzz"}, "dict: column 'zzz' does not exist (columns: amount)"),
        ({str(i): [1] for i in range(30)}, {"scores": "x"}, "(columns: 0, 1, 2, 3, 4, 5, 6, 7, …)"),
        ({"a": [1], "b": [1, 2]}, {}, "column 'b' has 2 rows (column 'a' has 1)"),
        ({"a": []}, {}, "has no rows"),
        ({}, {}, "has no rows"),
        ({"a": [1]}, {"predictions": "a"}, None),
        ({"a": [1]}, {"predictions": "a", "features": ["a"]}, "cannot be a feature and an output"),
        ({"a": [1]}, {"predictions": [1, 2]}, "predictions: 2 rows (dict has 1)"),
        ({"a": [1]}, {"predictions": np.zeros((2, 2))}, "predictions: 2 rows (dict has 1)"),
        ({"a": 1}, {}, "column 'a': int is no column"),
        ({"a": np.zeros((2, 2, 2))}, {}, "column 'a': ndarray is no column"),
        ({"a": np.zeros((2, 1))}, {}, "or a matrix with a vector in each row"),
        ({"a": [[1.0, 2.0]]}, {"categorical": ["a"]}, "column 'a' holds no text, numbers or truth values"),
        ({"a": [1]}, {"text": ["a"]}, "column 'a' holds no text"),
        ({"a": ["x"]}, {"text": "b"}, "column 'b' does not exist"),
        ({"a": ["x"]}, {"text": "a", "categorical": "a"}, "column 'a' cannot be both categorical and text"),
        ({"a": [datetime(2020, 1, 1, tzinfo=timezone.utc)]}, {"categorical": ["a"]}, "holds no text"),
        (np.zeros(3), {}, "expected (rows, columns)"),
        (np.zeros((3, 2)), {"features": ["a"]}, "has 2 columns, not 1"),
        (np.zeros((3, 2)), {"features": ["a", "a"]}, "two columns are called 'a'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, "two columns are called 'a'"),
        (object(), {}, "cannot be read as a table"),
        ([1, 2], {}, "cannot be read as a table"),
    ],
)  # fmt: skip
def test_mistakes_are_named(data, settings, message):
    """The message says what is wrong with which column, and what was probably meant."""
    if message is None:
        assert len(Baseline.build(data, model="m", **settings).features) == 1
        return
    with pytest.raises(BaselineError) as caught:
        Baseline.build(data, model="m", **settings)

    assert message in str(caught.value)


def test_a_model_needs_a_name():
    """A baseline without a model could never be found again."""
    with pytest.raises(BaselineError, match="model: ''"):
        Baseline.build({"a": [1]}, model="")


@pytest.mark.parametrize(
    ("mine", "theirs", "matches"),
    [
        (("m", "1"), ("m", "1"), True),
        (("m", ""), ("m", "1"), True),
        (("m", "1"), ("m", ""), True),
        (("m", "1"), ("m", "2"), False),
        (("m", "1"), ("n", "1"), False),
    ],
)
def test_a_baseline_of_another_model_is_refused(mine, theirs, matches):
    """Comparing with another model's training data would be worse than no comparison; unknown versions match."""
    built = Baseline.build({"a": [1]}, model=mine[0], version=mine[1])

    if matches:
        built.check_matches(ModelKey(*theirs), source="f.baseline")
        return
    with pytest.raises(BaselineError) as caught:
        built.check_matches(ModelKey(*theirs), source="f.baseline")

    assert str(caught.value) == (
        f"f.baseline: is the baseline of model '{mine[0]}', version '{mine[1]}'"
        f" (expected that of model '{theirs[0]}', version '{theirs[1]}')"
    )


def test_what_a_baseline_is_shows_in_its_repr(from_lists):
    """The repr says whose baseline it is and what is in it."""
    assert repr(dataclasses.replace(from_lists, id="abc")) == (
        "<Baseline abc of model 'm', 3,000 rows, features: 2 numeric + 1 boolean + 2 categorical, 1 score>"
    )


def test_asking_for_an_unknown_feature_names_the_nearest(from_lists):
    """A typo is told which feature may have been meant."""
    with pytest.raises(BaselineError, match="did you mean 'amount'"):
        from_lists.feature("amuont")


def test_kinds_are_known_by_key(from_lists):
    """Recording asks how to read a column, and None means that the baseline does not know it."""
    assert from_lists.kind(FeatureKey(FeatureRole.FEATURE, "country")) is FeatureKind.CATEGORICAL
    assert from_lists.kind(FeatureKey(FeatureRole.FEATURE, "score")) is None
