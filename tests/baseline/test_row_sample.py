"""Rows of the training data that a baseline keeps as they are, where someone asks for them."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner
from scipy.stats import chi2

from otel_ml.baseline import Baseline
from otel_ml.baseline.build import build_baseline
from otel_ml.baseline.message import from_bytes, to_bytes
from otel_ml.cli.baseline import baseline as command
from otel_ml.errors import BaselineError
from otel_ml.proto import baseline_pb2 as pb
from otel_ml.sketch.categories import hashed_name
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.row_sample import EVERY_ROW

ROWS = 500
NUMBERS = np.random.default_rng(1).normal(size=ROWS)
DATA = {
    "amount": [None if place % 7 == 0 else float(NUMBERS[place]) for place in range(ROWS)],
    "country": [None if place % 11 == 0 else ("NO", "SE", "DK")[place % 3] for place in range(ROWS)],
    "late": [place % 2 == 0 for place in range(ROWS)],
    "place": list(range(ROWS)),
}


def column(sample, name):
    [values] = [values for key, values in sample.columns.items() if key.name == name]
    return values.tolist()


def test_no_row_is_kept_unless_someone_asks():
    """The default is summaries only."""
    assert Baseline.build(DATA, model="m").row_sample is None


@pytest.mark.parametrize("container", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_rows_are_those_of_the_data(container):
    """Each value in the row it belongs to, whichever library holds it, and the same rows each time."""
    sample = Baseline.build(container(DATA), model="m", sample_rows=60).row_sample

    places = [int(place) for place in column(sample, "place")]
    assert len(set(places)) == 60
    for place, amount, country, late in zip(
        places, column(sample, "amount"), column(sample, "country"), column(sample, "late"), strict=True
    ):
        assert country == DATA["country"][place]
        assert late == str(DATA["late"][place])
        assert math.isnan(amount) if DATA["amount"][place] is None else amount == DATA["amount"][place]
    assert sample == Baseline.build(DATA, model="m", sample_rows=60).row_sample


def test_a_small_data_set_is_kept_whole():
    """And the sample says that no row was left out."""
    sample = Baseline.build(DATA, model="m", sample_rows=2_000).row_sample

    assert sorted(column(sample, "place")) == list(range(ROWS))
    assert sample.threshold == EVERY_ROW


def test_rows_are_drawn_from_all_over_the_data():
    """Chi-squared over the places of the rows, across the pieces in which columns are read."""
    rows = 600_000
    sample = Baseline.build({"place": np.arange(rows)}, model="m", sample_rows=2_000).row_sample

    counts = np.bincount(np.array(column(sample, "place")).astype(int) * 10 // rows, minlength=10)
    assert counts.sum() == 2_000
    assert chi2.sf(float(((counts - 200) ** 2 / 200).sum()), 9) > 0.001


def test_outputs_labels_texts_and_vectors_are_in_no_row():
    """Rows are of the features that hold numbers, truth values and categories."""
    data = {
        **DATA,
        "prediction": [0.0, 1.0] * (ROWS // 2),
        "label": [1.0, 0.0] * (ROWS // 2),
        "note": [f"the note number {place} that somebody wrote" for place in range(ROWS)],
        "vector": [[1.0, float(place)] for place in range(ROWS)],
    }
    built = Baseline.build(data, model="m", predictions="prediction", labels="label", sample_rows=10)

    assert [key.name for key in built.row_sample.columns] == ["amount", "country", "late", "place"]


def test_hashed_columns_are_hashed_in_rows_too():
    """No name of theirs is in the file."""
    built = build_baseline(DATA, model=ModelKey("m"), hashed=["country"], hash_key="secret", sample_rows=500)

    hashes = {hashed_name(name, b"secret") for name in ("NO", "SE", "DK")}
    assert set(column(built.row_sample, "country")) == {*hashes, None}


def test_categories_without_a_name_in_the_summary_have_none_in_rows():
    """As servers call them, or every id would be news."""
    names = [f"u{place}" for place in range(400)] + ["often"] * 600
    sample = Baseline.build({"user": names}, model="m", categorical="user", sample_rows=1_000).row_sample

    assert len(set(column(sample, "user"))) == 257
    assert column(sample, "user").count("often") == 600
    assert column(sample, "user").count("_OTHER") == 145


def test_a_baseline_with_rows_is_saved_and_loaded(tmp_path):
    """As it was."""
    built = Baseline.build(DATA, model="m", sample_rows=50)
    built.save(tmp_path / "m.baseline")

    assert Baseline.load(tmp_path / "m.baseline").row_sample == built.row_sample


@pytest.mark.parametrize("rows", [-1, 2_001, 1.5, True])
def test_a_number_of_rows_that_cannot_be_is_refused(rows):
    """0 to 2,000."""
    with pytest.raises(BaselineError, match="sample_rows"):
        Baseline.build(DATA, model="m", sample_rows=rows)


def test_rows_that_contradict_the_baseline_are_refused():
    """Hostile files are refused with the place."""
    built = Baseline.build(DATA, model="m", sample_rows=50)
    short = pb.Baseline.FromString(
        to_bytes(replace(Baseline.build({"a": [1.0]}, model="m"), row_sample=built.row_sample))
    )
    broken = pb.Baseline.FromString(to_bytes(built))
    broken.row_sample.numbers.append(1.0)

    with pytest.raises(BaselineError, match="x: row_sample: of 50 rows, where the baseline has 1"):
        from_bytes(short.SerializeToString(), "x")
    with pytest.raises(BaselineError, match="x: row_sample: 101 numbers"):
        from_bytes(broken.SerializeToString(), "x")


def test_the_command_line_builds_it_and_says_what_it_means(tmp_path):
    """--sample-rows, whose help tells that rows go into the file."""
    pd.DataFrame(DATA).to_csv(tmp_path / "train.csv", index=False)
    target = tmp_path / "m.baseline"

    arguments = ["build", str(tmp_path / "train.csv"), "--model", "m", "--sample-rows", "20", "-o", str(target)]
    result = CliRunner().invoke(command, arguments)

    assert result.exit_code == 0, result.output
    assert len(Baseline.load(target).row_sample) == 20
    help_text = " ".join(CliRunner().invoke(command, ["build", "--help"]).output.split())
    assert "whoever reads the file reads these rows" in help_text
