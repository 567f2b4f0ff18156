import json
import sys
from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from otel_ml.baseline import Baseline
from otel_ml.comparing import compare

ROWS = 12
LARGEST = sys.float_info.max
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=4),
    st.datetimes(),
    st.lists(st.floats(-1e308, 1e308), min_size=2, max_size=3),
    st.just(timedelta(1)),
)
one_kind = st.sampled_from(
    [
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(),
        st.text(max_size=20),
        st.booleans(),
        st.datetimes(),
        st.lists(st.floats(-1e308, 1e308), min_size=2, max_size=2),
        values,
    ]
).flatmap(lambda kind: st.lists(kind, min_size=ROWS, max_size=ROWS))
tables = st.dictionaries(st.sampled_from(["a", "b", "<c>", "\x1b\ud800", "prediction"]), one_kind, min_size=1)


@settings(max_examples=40)
@given(tables, tables)
def test_any_data_compare_with_any_baseline(training, now):
    """Whatever the columns hold on either side, there is a report, or nothing in common."""
    baseline = Baseline.build(training, model="m")
    if not training.keys() & now.keys():
        return

    report = compare(baseline, now, min_rows=1)

    assert json.dumps(report.to_json(), allow_nan=False)
    assert report.to_html().encode()
    assert report._repr_html_()
    assert repr(report).encode()
    assert baseline._repr_html_().encode()


@settings(max_examples=25)
@given(tables)
@example({"a": [[2.57e-214, 0.0]] * ROWS})
@example({"a": [[1e-45, 1.0]] * ROWS})
def test_data_do_not_drift_from_themselves(training):
    """Whatever they are."""
    baseline = Baseline.build(training, model="m")

    report = compare(baseline, training, min_rows=1)

    assert not report.drifted
    assert not report.absent_columns
    assert not report.added


@settings(max_examples=25)
@given(tables, tables)
@example({"a": [-LARGEST] * ROWS}, {"a": [1.0] * ROWS})
@example({"a": [LARGEST] * ROWS}, {"a": [1.0] * ROWS})
def test_any_two_baselines_compare(training, now):
    """Though they were built apart."""
    was, later = Baseline.build(training, model="m"), Baseline.build(now, model="m")
    if not training.keys() & now.keys():
        return

    report = compare(was, later, min_rows=1)

    assert json.dumps(report.to_json(), allow_nan=False)
    assert report.to_html().encode()
