import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from comparison_samples import HOSTILE, baseline, rows

import otel_ml
from otel_ml.baseline import Baseline
from otel_ml.comparing import DriftReport, compare
from otel_ml.drift import compare as compare_column
from otel_ml.drift.registry import create
from otel_ml.errors import BaselineError, ConfigurationError
from otel_ml.sketch.feature import FeatureKey, FeatureRole

TOGETHER = "(features together)"


@pytest.fixture(scope="module")
def reference():
    return baseline()


@pytest.fixture(scope="module")
def drifted(reference):
    return compare(reference, rows(3000, seed=1, drifted=True))


def test_what_changed_drifted_and_what_did_not_did_not(drifted):
    """Whatever the kind of the column."""
    assert isinstance(drifted, DriftReport)
    assert drifted.drifted
    assert {column.name for column in drifted.drifted_columns} == {"amount", "country", "note", "vector", TOGETHER}
    assert {column.name for column in drifted.degraded_columns} == {"gaps"}
    assert all(column.status == "stable" for column in drifted.columns if not column.drifted)


def test_data_like_the_baseline_do_not_drift(reference):
    """Chance is no drift, of none of fourteen columns."""
    report = compare(reference, rows(3000, seed=2))

    assert not report.drifted
    assert report.compared == 14
    assert not report.degraded_columns
    assert not report.absent_columns


def test_columns_come_by_what_to_look_at_first(drifted):
    """Drift first, then bad values; each by how far it moved."""
    places = [(not column.drifted, not column.degraded, -column.weight) for column in drifted.columns]

    assert places == sorted(places)


def test_importances_weigh():
    """What the model relies on comes first, however far others moved."""
    report = compare(baseline(importances={"amount": 1, "country": 50}), rows(3000, seed=1, drifted=True))

    assert report.columns[0].name in ("country", TOGETHER)
    assert report["country"].importance == 1.0
    assert report["amount"].importance == pytest.approx(0.02)
    assert report["prediction"].importance == 1.0


def test_a_verdict_is_that_of_the_drift_functions(reference, drifted):
    """No statistics of its own: scores are those of a server's summaries that the processor compares."""
    data = rows(3000, seed=1, drifted=True)
    key = FeatureKey(FeatureRole.FEATURE, "amount")
    window = reference.features[key].content.anchored(reference.layout(key))
    window.update(data["amount"])
    summary = type(reference.features[key])(key, window)

    expected = compare_column(reference.features[key], summary, reference.layout(key))

    decision = drifted["amount"].decision
    assert (decision.method, decision.score, decision.p_value) == (expected.method, expected.score, expected.p_value)
    assert decision.threshold == expected.threshold


@pytest.mark.parametrize("container", ["pandas", "polars", "arrow", "parquet", "csv"])
def test_every_container_says_the_same(reference, tmp_path, container):
    """Frames, tables and files of one content."""
    data = rows(1000, seed=1, drifted=True)
    plain = {name: data[name] for name in ("amount", "age", "country", "gaps", "prediction")}
    table = pa.table(plain)
    pa.parquet.write_table(table, tmp_path / "x.parquet")
    pa.csv.write_csv(table, tmp_path / "x.csv")
    given = {
        "pandas": lambda: pd.DataFrame(plain),
        "polars": lambda: pl.DataFrame(plain),
        "arrow": lambda: table,
        "parquet": lambda: tmp_path / "x.parquet",
        "csv": lambda: str(tmp_path / "x.csv"),
    }[container]()

    report = compare(reference, given)

    expected = compare(reference, plain)
    for name in plain:
        assert report[name].to_json() == expected[name].to_json(), name


def test_another_baseline_can_be_compared(reference):
    """What is in it, in the bins of the first where it has values, else by its sketches."""
    other = Baseline.build(rows(3000, seed=1, drifted=True), model="fraud", predictions="prediction", text="note")

    report = compare(reference, other)

    assert {column.name for column in report.drifted_columns} == {"amount", "country", "note", "vector"}
    assert report["score"].status == "absent"
    assert report[TOGETHER].status == "not compared"


def test_a_baseline_does_not_differ_from_itself(reference):
    """Not in a single score."""
    report = compare(reference, reference)

    assert not report.drifted
    assert {column.decision.score for column in report.columns} == {0.0}


def test_columns_may_be_absent_and_new(reference):
    """Both are told; features together need all of them."""
    data = rows(1000, seed=2)
    del data["age"], data["score"]

    report = compare(reference, data | {"extra": [1.0] * 1000})

    assert {column.name for column in report.absent_columns} == {"age", "score"}
    assert list(report.added) == ["extra"]
    assert not report.drifted
    assert report[TOGETHER].reason == "correlations: column 'age' is absent"


def test_few_values_are_not_compared(reference):
    """Rather than taken for no drift."""
    report = compare(reference, rows(100, seed=1, drifted=True))

    assert report.compared == 0
    assert report["amount"].status == "not compared"
    assert report["amount"].reason == "too few values: 100 (at least 200)"
    assert compare(reference, rows(100, seed=1, drifted=True), min_rows=50).drifted


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("amount", ["twelve"] * 500),
        ("amount", [None] * 500),
        ("amount", [math.inf] * 500),
        ("amount", np.zeros(500, "datetime64[s]")),
        ("amount", np.zeros(500, "timedelta64[s]")),
        ("country", [b"x"] * 500),
        ("country", ["a document of many words " * 40] * 500),
        ("member", ["perhaps"] * 500),
        ("when", [12.5] * 500),
        ("note", [17] * 500),
        ("vector", [[1.0, 2.0]] * 500),
        ("vector", [None] * 500),
    ],
)
def test_values_of_another_kind_are_bad_values(reference, name, values):
    """And nothing raises, whatever the column holds."""
    report = compare(reference, {name: values})

    column = report[name]
    assert column.status == "not compared"
    assert {finding.name for finding in column.degraded} & {"missing", "type_mismatch", "infinite"}
    json.dumps(report.to_json(), allow_nan=False)
    assert report.to_html()


def test_categories_and_ranges_that_are_new_are_bad_values(reference):
    """As the processor counts them."""
    report = compare(reference, {"country": ["DE", "XX"] * 500, "age": [40.0, 4000.0] * 500})

    (unseen,) = report["country"].degraded
    assert (unseen.name, unseen.ratios.ratio) == ("unseen_category", 0.5)
    assert [finding.name for finding in report["age"].degraded] == ["out_of_range"]


def test_outputs_may_have_other_names(reference):
    """As they may when a baseline is built."""
    data = {"predicted": rows(1000, seed=2)["prediction"], "p": [0.99] * 1000}

    report = compare(reference, data, predictions="predicted", scores="p")

    assert report["prediction"].status == "stable"
    assert report["score"].drifted
    assert not report.added


def test_detectors_can_be_chosen(reference):
    """By name or ready; whose verdict counts, too."""
    data = rows(1000, seed=1, drifted=True)

    report = compare(reference, data, detectors=["ks", create("psi", {"threshold": 50.0})], decide_by="ks")

    assert [result.method for result in report["amount"].results] == ["ks", "psi"]
    assert report["amount"].method == "ks"
    assert report["amount"].drifted
    assert report["age"].method == "ks"
    by_psi = compare(reference, data, detectors=[create("psi", {"threshold": 50.0})])
    assert by_psi["amount"].decision.threshold == 50.0
    assert not by_psi["amount"].drifted


def test_a_detector_that_decides_is_asked(reference):
    """Though nobody named it among those to ask."""
    report = compare(reference, rows(1000, seed=1, drifted=True), decide_by={"numeric": "energy", "text": "words"})

    assert report["amount"].method == "energy"
    assert report["note"].method == "words"
    assert report["country"].method == "psi"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"detectors": ["pis"]}, "unknown drift detector .*; did you mean 'psi'"),
        ({"decide_by": "pis"}, "decide_by::pis: unknown drift detector"),
        ({"decide_by": {"numerical": "psi"}}, "kind of column 'numerical' does not exist .*; did you mean 'numeric'"),
        ({"alpha": 2.0}, "alpha: 2.0 is not valid"),
        ({"min_rows": 0}, "min_rows: 0 is not valid"),
    ],
)
def test_wrong_settings_are_refused(reference, options, error):
    """With what would be right."""
    with pytest.raises(ConfigurationError, match=error):
        compare(reference, {"age": [1.0]}, **options)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"x": [1.0]}, "dict: has none of the columns of the baseline \\(such as 'amount'"),
        ({"age": []}, "dict: has no rows"),
        (17, "int: cannot be read as a table"),
        ("missing.parquet", "missing.parquet: No such file"),
    ],
)
def test_data_that_cannot_be_compared_are_refused(reference, data, error):
    """Rather than reported as absent."""
    with pytest.raises(BaselineError, match=error):
        compare(reference, data)


def test_what_is_no_baseline_is_refused():
    """The two arguments are easily confused."""
    with pytest.raises(ConfigurationError, match=r"baseline: dict is none \(expected a Baseline"):
        compare({"age": [1.0]}, {"age": [1.0]})


def test_hostile_names_are_columns_like_others(drifted):
    """They are found by their names."""
    assert drifted[HOSTILE].status == "stable"
    with pytest.raises(BaselineError, match="did you mean 'amount'"):
        drifted["amuont"]


def test_it_is_public():
    """Where users look for it."""
    assert otel_ml.compare is compare


def test_hashed_categories_are_compared_as_hashes():
    """With the key that the servers have."""
    from otel_ml.baseline.build import build_baseline
    from otel_ml.comparing.comparison import compare_with
    from otel_ml.comparing.current import Reading
    from otel_ml.comparing.measuring import Asking
    from otel_ml.sketch.feature import ModelKey

    data = {"country": rows(1000, seed=0)["country"]}
    hashed = build_baseline(data, model=ModelKey("fraud"), hashed=["country"], hash_key="secret")

    report = compare_with(
        hashed,
        {"country": rows(1000, seed=2)["country"]},
        Asking.of(),
        reading=Reading(hashed=["country"], hash_key="secret"),
        alpha=0.05,
        min_rows=200,
    )

    assert report["country"].status == "stable"
    assert not report["country"].degraded
    with pytest.raises(BaselineError, match="needs a key"):
        compare_with(hashed, data, Asking.of(), reading=Reading(hashed=["country"]), alpha=0.05, min_rows=200)
