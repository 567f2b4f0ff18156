"""Columns of texts, points in time and vectors, and what is taken for categories at first."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.baseline import Baseline
from otel_ml.config import Settings
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.column_set import ColumnSet
from otel_ml.recording.datetime_column import DatetimeColumn
from otel_ml.recording.embedding_column import EmbeddingColumn
from otel_ml.recording.inference import RECORD, Inference, ModelInfo
from otel_ml.recording.inputs.batches import RowBatch
from otel_ml.recording.opaque_column import OpaqueColumn
from otel_ml.recording.privacy import PrivacyPolicy
from otel_ml.recording.text_column import TextColumn
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.summary import TextSummary

KEY = FeatureKey(FeatureRole.FEATURE, "column")
MODEL = ModelInfo(ModelKey("m"))
NOW = 1_790_000_000.0


def drained(column, *batches):
    for batch in batches:
        for _ in column.update(batch):
            pass
    return column.drain()


def summaries(*batches, accumulator=None, **settings):
    accumulator = accumulator or ModelAccumulator(MODEL.key, **settings)
    for rows in batches:
        accumulator.add([(MODEL, RECORD, row, None, None) for row in rows])
    return {column.summary.key.name: column.summary for column in accumulator.drain().columns}


def texts():
    return TextColumn(KEY, "column", None)


def vectors(dimensions=0):
    return EmbeddingColumn(KEY, "column", None, dimensions)


def times():
    return DatetimeColumn(KEY, "column", lambda: NOW)


# --- texts ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.one_of(st.text(max_size=30), st.none(), st.just(float("nan")), st.integers(), st.binary()), max_size=60)
)
def test_texts_are_measured_as_they_are(values):
    """In pieces or at once; what is no text is missing or mismatched."""
    strings = [value for value in values if isinstance(value, str)]
    expected = TextSummary()
    expected.update(strings)

    summary = drained(texts(), values[:7], values[7:])

    assert summary.counters.rows == len(values)
    assert summary.counters.valid == len(strings) == summary.content.count
    assert summary.content.empty == expected.empty
    assert summary.content.lengths.moments.maximum == expected.lengths.moments.maximum
    assert summary.content.words.moments.mean == pytest.approx(expected.words.moments.mean)
    assert summary.content.cardinality.image() == expected.cardinality.image()


def test_a_book_costs_no_more_than_its_first_pages():
    """Its length is known all the same."""
    book = "word " * 1_000_000

    content = drained(texts(), [book, book + "x"]).content

    assert content.lengths.moments.minimum == len(book)
    assert content.words.moments.maximum == 2_000
    assert content.cardinality.estimate() == pytest.approx(2, abs=0.1)


@given(st.lists(st.text("ab é<1 ", max_size=30), max_size=60), st.integers(0, 60))
def test_texts_are_read_as_they_are(values, place):
    """In pieces or at once: their characters, and their words when there are enough of them."""
    expected = TextSummary()
    expected.read(values)

    content = drained(texts(), values[:place], values[place:]).content

    assert content.characters.powers.tolist() == expected.characters.powers.tolist()
    if expected.vocabulary.texts >= 10:
        assert content.vocabulary.totals.tolist() == expected.vocabulary.totals.tolist()
        assert content.vocabulary.squares.tolist() == expected.vocabulary.squares.tolist()
    else:
        assert content.vocabulary.texts == 0


def test_words_of_few_texts_wait_for_more():
    """Of one text, it could be tried whether a word is in it."""
    column = texts()

    counted = [drained(column, ["these are words"] * number).content.vocabulary.texts for number in (3, 6, 2, 4, 10)]

    assert counted == [0, 0, 11, 0, 14]


def test_words_are_not_counted_where_that_is_switched_off():
    """In no column, or in none whose values leave as hashes."""
    rows = [{"review": f"many different words of mine and of number {number}"} for number in range(50)]
    counted = []
    for settings in (Settings(), Settings(text_vocabulary=False), Settings(hash_features=("rev*",), hash_key="k")):
        policy = PrivacyPolicy(settings)
        for role in ("features", "outputs"):
            column = ColumnSet(
                FeatureRole.FEATURE if role == "features" else FeatureRole.PREDICTION,
                baseline=None,
                max_columns=5,
                kind=FeatureKind.TEXT,
                privacy=policy if role == "features" else None,
                counts_words=policy.counts_words,
            )
            for _ in column.take(RowBatch(rows)):
                pass
            for _ in column.drain(into := []):
                pass
            counted.append(into[0].summary.content.vocabulary.texts)

    assert counted == [50, 50, 0, 0, 0, 50]


def test_long_texts_are_read_in_steps():
    """Whoever has the interpreter lets go of it in between."""
    steps = sum(1 for _ in texts().update(["word " * 2_000] * 100))

    assert steps >= 40


def test_no_word_of_a_text_is_kept():
    """Not even as a category's name."""
    summary = summaries([{"review": "a secret of mine that nobody else should ever see or hear of"}] * 3)["review"]

    assert summary.kind is FeatureKind.TEXT
    assert "secret" not in repr(summary)


def test_categories_that_turn_out_to_be_texts_are_texts_from_the_next_interval_on():
    """Many different ones of some length; within one interval a column is of one kind."""
    accumulator = ModelAccumulator(MODEL.key)
    rows = [{"query": f"how do I reset the password of user {index}"} for index in range(3_000)]

    first = summaries(rows, accumulator=accumulator)["query"]
    second = summaries(rows[:5], accumulator=accumulator)["query"]

    assert first.kind is FeatureKind.CATEGORICAL
    assert second.kind is FeatureKind.TEXT
    assert second.counters.rows == 5


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": f"user-{index}"} for index in range(3_000)],
        [{"id": f"a rather long name of a category, number {index % 900}"} for index in range(3_000)],
    ],
    ids=["short", "few"],
)
def test_ids_and_long_names_stay_categories(rows):
    """Neither number nor length alone makes a text."""
    accumulator = ModelAccumulator(MODEL.key)
    summaries(rows, accumulator=accumulator)

    assert summaries(rows[:5], accumulator=accumulator)["id"].kind is FeatureKind.CATEGORICAL


def test_a_baseline_keeps_its_categories():
    """It was pinned by who trained the model."""
    rows = [{"query": f"how do I reset the password of user {index}"} for index in range(3_000)]
    baseline = Baseline.build({"query": ["a", "b"] * 10}, model="m")
    accumulator = ModelAccumulator(MODEL.key, baseline=baseline)
    summaries(rows, accumulator=accumulator)

    assert summaries(rows[:5], accumulator=accumulator)["query"].kind is FeatureKind.CATEGORICAL


# --- points in time ---------------------------------------------------------------------------------------------------


UTC = dt.timezone.utc


@pytest.mark.parametrize(
    "values",
    [
        [dt.datetime(2026, 1, 5, 13, tzinfo=UTC), None],
        [dt.datetime(2026, 1, 5, 15, tzinfo=dt.timezone(dt.timedelta(hours=2))), pd.NaT],
        [dt.datetime(2026, 1, 5, 13), float("nan")],  # noqa: DTZ001 - without a zone it is UTC
        [pd.Timestamp("2026-01-05T13:00Z"), None],
        [np.datetime64("2026-01-05T13", "ns"), np.datetime64("NaT", "s")],
        np.array(["2026-01-05T13", "NaT"], "M8[s]"),
        np.array(["2026-01-05T13", "NaT"], "M8[ns]"),
        ["2026-01-05T13:00:00Z", None],
    ],
    ids=["aware", "another zone", "naive", "pandas", "numpy", "array", "array of ns", "text"],
)
def test_a_point_in_time_is_one_however_it_is_written(values):
    """Thirteen o'clock on a Monday."""
    summary = drained(times(), values)

    assert summary.counters.rows == 2
    assert summary.counters.missing == 1
    assert summary.content.hours[13] == 1
    assert summary.content.weekdays[0] == 1
    assert summary.content.epochs.mean == 1_767_618_000.0


def test_ages_are_those_at_the_inference():
    """The time a backfill gave, or now."""
    accumulator = ModelAccumulator(MODEL.key)
    born = dt.datetime(2026, 1, 1, tzinfo=UTC)
    later = int((born.timestamp() + 3_600) * 1e9)

    accumulator.add([Inference(MODEL, RECORD, {"born": born}, timestamp_unix_nano=later)])
    (told,) = accumulator.drain().columns
    accumulator.add([(MODEL, RECORD, {"born": dt.datetime.now(UTC)}, None, None)])
    (fresh,) = accumulator.drain().columns

    assert told.summary.content.ages.moments.mean == 3_600.0
    assert 0.0 <= fresh.summary.content.ages.moments.mean < 60.0


def test_what_is_no_point_in_time_is_mismatched():
    """A number may be anything."""
    counters = drained(times(), [dt.date(2026, 1, 1), 5, "soon", [1]]).counters

    assert (counters.rows, counters.mismatched) == (4, 3)


# --- vectors ----------------------------------------------------------------------------------------------------------


@given(
    rows=st.lists(st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=40),
    cut=st.integers(0, 40),
)
def test_vectors_are_the_same_as_lists_and_as_a_matrix(rows, cut):
    """And however they are cut into batches."""
    left = drained(vectors(), rows[:cut], rows[cut:]).content
    right = drained(vectors(), np.array(rows)).content

    assert left.count == right.count == len(rows)
    assert left.total == pytest.approx(right.total)
    assert left.products == pytest.approx(right.products)
    assert left.norms.moments.maximum == pytest.approx(right.norms.moments.maximum)


@pytest.mark.parametrize(
    ("value", "counter"),
    [
        (None, "missing"),
        ([1.0, 2.0], "mismatched"),
        ([1.0, 2.0, "3"], "mismatched"),
        ([1.0, 2.0, None], "mismatched"),
        ([1.0, 2.0, float("inf")], "mismatched"),
        ("text", "mismatched"),
        (5.0, "mismatched"),
        ([1, 2, 3], "valid"),
        (np.ones(3, np.float16), "valid"),
    ],
)
def test_an_odd_vector_is_counted_for_what_it_is(value, counter):
    """The first one says how long they are."""
    counters = drained(vectors(), [[1.0, 2.0, 3.0]], [value]).counters

    assert counters.rows == 2
    assert getattr(counters, counter) == (2 if counter == "valid" else 1)


def test_a_matrix_of_another_width_is_mismatched():
    """And one of nothing but NaN is missing."""
    counters = drained(vectors(), np.ones((4, 3)), np.ones((2, 5)), np.full((1, 3), np.nan)).counters

    assert (counters.rows, counters.mismatched, counters.missing) == (7, 2, 1)


def test_vectors_keep_their_length_from_one_interval_to_the_next():
    """A column is of one kind, and of one length."""
    column = vectors()
    drained(column, [[1.0, 2.0, 3.0]])

    counters = drained(column, [[1.0, 2.0]]).counters

    assert counters.mismatched == 1


def test_a_baseline_pins_the_length():
    """Whatever comes first."""
    baseline = Baseline.build({"v": [[1.0, 2.0, 3.0]] * 5}, model="m")

    found = summaries([{"x": 1.0, "v": [1.0, 2.0]}], [{"x": 1.0, "v": [1.0, 2.0, 4.0]}], baseline=baseline)["v"]

    assert found.kind is FeatureKind.EMBEDDING
    assert (found.counters.mismatched, found.content.count) == (1, 1)


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [texts, times, vectors, lambda: OpaqueColumn(KEY, "column")])
def test_values_told_by_their_number_are_counted(make):
    """As the zeros of a sparse matrix are, and rows that lack the column."""
    column = make()
    column.repeat(float("nan"), 3)
    column.repeat(0.0, 2)
    column.missing(4)

    counters = column.drain().counters

    assert (counters.rows, counters.missing) == (9, 7)
    assert counters.mismatched + counters.valid == 2
    assert column.drain().counters.rows == 0
