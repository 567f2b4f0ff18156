"""What may leave the process."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml import record
from otel_ml.baseline.build import build_baseline
from otel_ml.config import Settings
from otel_ml.errors import BaselineError
from otel_ml.recording import guard
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.recording.privacy import PrivacyPolicy, Redactor
from otel_ml.sketch.categories import HASH_DIGITS, hashed_name
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.testing import captured_telemetry

INFO = ModelInfo(ModelKey("m"))


def drained(rows, **outputs):
    """Columns of rows, as they are before they leave."""
    accumulator = ModelAccumulator(INFO.key)
    accumulator.add([Inference(INFO, "predict", row, **outputs) for row in rows])
    return accumulator.drain().columns


def redacted(columns, redactor=None, *, classes=(), **settings):
    """Content of columns after redaction, by name."""
    redactor = redactor or Redactor(PrivacyPolicy(Settings(**settings)), {})
    redactor.redact(columns, classes)
    return {column.summary.key.name: column.summary.content for column in columns}


def test_rare_categories_leave_without_their_name():
    """An e-mail address is nobody's category: below ten it is one of many."""
    content = redacted(drained([{"mail": f"{number}@example.org"} for number in range(50)] + [{"mail": "none"}] * 10))

    assert content["mail"].categories.counts == {"_OTHER": 50, "none": 10}
    assert content["mail"].categories.other == 0


def test_a_category_earns_its_name_over_intervals():
    """What is rare in a minute may be frequent in an hour: the process remembers."""
    redactor = Redactor(PrivacyPolicy(Settings(min_category_count=10)), {})

    names = [set(redacted(drained([{"c": "x"}] * 4), redactor)["c"].categories.counts) for _ in range(4)]

    assert names == [{"_OTHER"}, {"_OTHER"}, {"x"}, {"x"}]


def test_what_came_with_the_model_is_no_secret():
    """Categories of the baseline and classes of the model leave at once."""
    known = {FeatureKey(FeatureRole.FEATURE, "c"): {"known"}}
    redactor = Redactor(PrivacyPolicy(Settings()), known)
    columns = drained([{"c": "known"}, {"c": "new"}], predictions="fraud")

    content = redacted(columns, redactor, classes=("fraud",))

    assert content["c"].categories.counts == {"known": 1, "_OTHER": 1}
    assert content["prediction"].categories.counts == {"fraud": 2}


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 12))
def test_no_value_is_lost_and_no_rare_one_is_named(values, least):
    """Whatever the threshold: the total stays, and every name that leaves was seen often enough."""
    content = redacted(drained([{"c": value} for value in values]), min_category_count=least)["c"]
    seen = Counter(values)

    assert content.categories.count == len(values)
    for name, count in content.categories.counts.items():
        if name != "_OTHER":
            assert seen[name] >= least
            assert count == seen[name]


def test_hashed_categories_are_the_same_everywhere_with_the_same_key():
    """Counts are kept, names are not; another key gives other names."""
    rows = [{"country": "NO"}] * 3 + [{"country": "SE"}]
    content = redacted(drained(rows), hash_features=("country",), hash_key="secret")["country"]

    assert content.categories.counts == {hashed_name("NO", b"secret"): 3, hashed_name("SE", b"secret"): 1}
    assert hashed_name("NO", b"other") != hashed_name("NO", b"secret")
    assert len(hashed_name("NO", b"secret")) == HASH_DIGITS


def test_hashing_without_a_key_is_said(caplog):
    """Names that can be guessed can be hashed by anybody."""
    guard.reset()
    PrivacyPolicy(Settings(hash_features=("country",)))

    assert "without a key" in caplog.text
    guard.reset()


def test_numbers_leave_as_buckets_only_where_samples_are_not_wanted():
    """No sample, no exact value, no extreme: what is left is 9 % coarse."""
    values = np.random.default_rng(1).lognormal(10, 1, 5_000)
    columns = drained([{"salary": value} for value in values])
    content = redacted(columns, sample_values=False)["salary"]

    assert content.exact is None
    assert content.quantiles is None
    assert content.histogram.count == 5_000
    assert content.histogram.scale <= 3
    assert content.moments.maximum not in values
    assert content.moments.maximum >= values.max()
    assert content.moments.minimum <= values.min()


@pytest.mark.parametrize(
    ("values", "reach"), [([0.0, 0.0], (0.0, 0.0)), ([-2.0, -1.0], (-2.0, -0.917)), ([-3.0, 0.0], (-3.08, 0.0))]
)
def test_the_reach_of_any_sign_encloses_the_values(values, reach):
    """Negative values and zeros too."""
    content = redacted(drained([{"x": value} for value in values]), sample_values=False)["x"]

    assert content.moments.minimum <= min(values)
    assert content.moments.maximum >= max(values)
    assert (content.moments.minimum, content.moments.maximum) == pytest.approx(reach, rel=0.1)


def test_columns_are_admitted_by_name():
    """Allowed, and not excluded; patterns as in a shell."""
    policy = PrivacyPolicy(Settings(features=("amount", "device_*"), exclude_features=("device_id",)))

    assert [name for name in ("amount", "device_os", "device_id", "email") if policy.admits(name)] == [
        "amount",
        "device_os",
    ]


def test_a_row_of_an_event_is_thinned_out_as_well():
    """Who asked for events did not ask for what was excluded."""
    policy = PrivacyPolicy(Settings(exclude_features=("email",), hash_features=("country",), hash_key="k"))

    assert policy.row({"email": "a@b", "country": "NO", "amount": 1.0}) == {
        "country": hashed_name("NO", b"k"),
        "amount": 1.0,
    }


def test_a_hashed_baseline_knows_what_servers_with_its_key_send(tmp_path):
    """Built with the key and served with the key: the same categories, and none of them in plain."""
    data = {"country": ["NO"] * 30 + ["SE"] * 10, "amount": list(range(40))}
    baseline = build_baseline(data, model=ModelKey("m"), hashed=["country"], hash_key="secret")
    key = FeatureKey(FeatureRole.FEATURE, "country")
    path = tmp_path / "m.baseline"
    baseline.save(path)

    with captured_telemetry(baselines=[path], hash_features=["country"], hash_key="secret") as telemetry:
        record({"country": "NO", "amount": 1}, model="m")
        (snapshot,) = telemetry.snapshots()

    (sent,) = [summary for summary in snapshot.features if summary.key == key]
    assert sent.content.categories.counts.keys() <= baseline.features[key].content.categories.counts.keys()
    assert "NO" not in sent.content.categories.counts
    assert sent.exemplars == []


def test_a_baseline_is_not_hashed_without_a_key():
    """Hashes that anybody can make hide nothing."""
    with pytest.raises(BaselineError, match="needs a key"):
        build_baseline({"country": ["NO"]}, model=ModelKey("m"), hashed=["country"])


def test_columns_that_are_excluded_are_not_even_summed_up():
    """Neither rows, frames nor matrices let them through; and a baseline does not miss them."""
    baseline = build_baseline({"amount": [1.0, 2.0], "email": ["a@b", "c@d"]}, model=ModelKey("m"))
    policy = PrivacyPolicy(Settings(exclude_features=("email", "f1")))
    accumulator = ModelAccumulator(INFO.key, baseline=baseline, privacy=policy)
    accumulator.add([Inference(INFO, "predict", {"amount": 1.0, "email": "a@b"})])
    accumulator.add([Inference(INFO, "predict", pd.DataFrame({"amount": [1.0, 2.0], "email": ["a@b", None]}))])
    accumulator.add([Inference(INFO, "predict", np.ones((2, 3)))])

    drained = accumulator.drain()

    assert {column.summary.key.name for column in drained.columns} == {"amount", "f0", "f2"}
    assert drained.let_go == {}
