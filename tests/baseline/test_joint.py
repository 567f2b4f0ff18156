"""What a baseline keeps of several features at once."""

import math

import numpy as np
import pandas as pd
import pytest

from otel_ml.baseline import Baseline
from otel_ml.baseline.joint import MAX_COLUMNS, JointLayout
from otel_ml.baseline.message import from_bytes, to_bytes
from otel_ml.drift.multivariate import CorrelationNoise
from otel_ml.errors import BaselineError
from otel_ml.proto import baseline_pb2 as pb
from otel_ml.sketch.feature import FeatureRole

ROWS = 3_000


def table(rows=ROWS, seed=1):
    """Two columns that go together, one that does not, a constant, gaps, codes and names."""
    random = np.random.default_rng(seed)
    first = random.normal(size=rows)
    return {
        "amount": np.exp(first),
        "constant": np.full(rows, 7.0),
        "income": 1e6 + 1e3 * (0.8 * first + 0.6 * random.normal(size=rows)),
        "age": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows)),
        "mostly_missing": np.where(random.random(rows) < 0.7, np.nan, random.normal(size=rows)),
        "name": random.choice(["a", "b"], rows).tolist(),
        "output": random.normal(size=rows),
    }


@pytest.fixture(scope="module")
def built():
    return Baseline.build(table(), model="m", predictions="output")


def correlation(joint, first, second):
    scatter = joint.vectors.scatter()
    places = [joint.layout.names.index(name) for name in (first, second)]
    return scatter[tuple(places)] / math.sqrt(scatter.diagonal()[places].prod())


def test_numeric_features_that_vary_are_looked_at_together(built):
    """No constant, no category, no output, and none that is missing from most rows."""
    assert built.joint.layout.names == ("amount", "income", "age")


def test_rows_in_which_all_are_finite_count(built):
    """A tenth of the rows lack one."""
    complete = np.isfinite(table()["age"]).sum()

    assert built.joint.vectors.count == complete < ROWS


def test_correlations_are_those_of_clipped_and_standardised_rows(built):
    """Whatever the units; beyond four deviations a value counts as four."""
    data = pd.DataFrame(table())[["amount", "income", "age"]]
    expected = ((data - data.mean()) / data.std()).clip(-4, 4).dropna().corr()

    assert correlation(built.joint, "amount", "income") == pytest.approx(expected.loc["amount", "income"], abs=1e-6)
    assert correlation(built.joint, "amount", "age") == pytest.approx(expected.loc["amount", "age"], abs=1e-6)


def test_means_and_deviations_are_those_of_the_columns(built):
    """The same that the summaries tell."""
    moments = [built.feature(name).content.moments for name in built.joint.layout.names]

    assert built.joint.layout.means.tolist() == [of.mean for of in moments]
    assert built.joint.layout.deviations.tolist() == [of.standard_deviation for of in moments]


def test_it_is_in_the_file(built, tmp_path):
    """Loaded, it is what it was; floats hold the moments."""
    built.save(tmp_path / "m.baseline")

    loaded = Baseline.load(tmp_path / "m.baseline").joint

    assert loaded.layout.hash == built.joint.layout.hash
    assert loaded.layout.key == (FeatureRole.JOINT, f"{built.joint.layout.hash:016x}")
    np.testing.assert_array_equal(loaded.vectors.scatter(), built.joint.vectors.scatter())
    np.testing.assert_array_equal(loaded.noise.spread, built.joint.noise.spread)


def test_a_file_of_an_earlier_version_has_none(built):
    """And loads as before."""
    message = pb.Baseline.FromString(to_bytes(built))
    message.ClearField("joint")

    assert from_bytes(message.SerializeToString(), "old.baseline").joint is None


def test_the_same_data_give_the_same_layout_whatever_holds_them(built, tmp_path):
    """A frame, a file and a dict are drawn from alike."""
    frame = pd.DataFrame(table())
    frame.to_parquet(tmp_path / "m.parquet", row_group_size=700)

    ids = {Baseline.build(data, model="m", predictions="output").id for data in (frame, tmp_path / "m.parquet")}

    assert ids == {built.id}


def test_of_many_rows_some_are_drawn():
    """The same ones of every column, or correlations would be lost."""
    built = Baseline.build({"a": (values := np.random.default_rng(1).normal(size=60_000)), "b": -values}, model="m")

    assert 10_000 <= built.joint.vectors.count < 60_000
    assert correlation(built.joint, "a", "b") == pytest.approx(-1, abs=1e-6)


def test_the_features_that_matter_most_are_chosen():
    """Where nobody knows, the first ones."""
    random = np.random.default_rng(1)
    data = {f"f{index}": random.normal(size=500) for index in range(MAX_COLUMNS + 6)}
    weights = {f"f{index}": float(index) for index in range(MAX_COLUMNS + 6)}

    first, heaviest = (Baseline.build(data, model="m", importances=of).joint.layout.names for of in (None, weights))

    assert first == tuple(data)[:MAX_COLUMNS]
    assert heaviest == tuple(data)[-MAX_COLUMNS:]


@pytest.mark.parametrize(
    "data",
    [
        {"only": np.arange(100.0)},
        {"a": np.arange(20.0), "b": np.arange(20.0)},
        {"a": np.arange(100.0), "constant": np.ones(100)},
        {"a": np.arange(100.0), "huge": np.where(np.arange(100) % 2, 1e308, -1e308)},
        {"a": np.arange(100.0), "empty": np.full(100, np.nan)},
        {"name": ["a", "b"] * 50},
    ],
    ids=["one", "few rows", "constant", "no finite variance", "empty", "no number"],
)
def test_less_than_two_features_that_vary_in_some_rows_have_no_joint(data):
    """There is nothing to correlate."""
    assert Baseline.build(data, model="m").joint is None


def _without_a_name(joint):
    del joint.names[0]


def _twice_the_same(joint):
    joint.names[1] = joint.names[0]


def _strange_feature(joint):
    joint.names[0] = "name"
    joint.layout_hash = JointLayout(tuple(joint.names), np.array(joint.means), np.array(joint.deviations)).hash


def _no_deviation(joint):
    joint.deviations[0] = 0.0


def _infinite_mean(joint):
    joint.means[0] = math.inf


def _other_hash(joint):
    joint.layout_hash ^= 1


def _too_many_rows(joint):
    joint.rows = ROWS + 1


def _no_rows(joint):
    joint.rows = 0


def _other_dimensions(joint):
    joint.vectors.dimensions = 2


def _impossible_scatter(joint):
    joint.vectors.scatter[1] = 1e9


def _fewer_spreads(joint):
    del joint.spreads[0]


def _hostile_spread(joint):
    joint.spreads[0] = math.nan


def _hostile_skewness(joint):
    joint.skewness[0] = -math.inf


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_without_a_name, "3 means and 3 deviations"),
        (_twice_the_same, "3 names"),
        (_strange_feature, "'name' is no numeric feature"),
        (_no_deviation, "a deviation not above 0"),
        (_infinite_mean, "not finite"),
        (_other_hash, "layout_hash"),
        (_too_many_rows, "3001 rows"),
        (_no_rows, "of 0 rows"),
        (_other_dimensions, "vectors of 2 dimensions"),
        (_impossible_scatter, "a covariance is larger"),
        (_fewer_spreads, "2 spreads"),
        (_hostile_spread, "a spread or a skewness is not finite"),
        (_hostile_skewness, "a spread or a skewness is not finite"),
    ],
    ids=lambda change: getattr(change, "__name__", "")[1:],
)
def test_a_joint_that_contradicts_itself_is_refused(built, change, complaint):
    """The message says where and what."""
    message = pb.Baseline.FromString(to_bytes(built))
    change(message.joint)

    with pytest.raises(BaselineError) as caught:
        from_bytes(message.SerializeToString(), "m.baseline")

    assert str(caught.value).startswith("m.baseline: joint: ")
    assert complaint in str(caught.value)


def test_every_part_of_a_layout_is_in_its_hash():
    """What was standardised otherwise must not mix."""
    layouts = [
        JointLayout(("a", "b"), np.zeros(2), np.ones(2)),
        JointLayout(("b", "a"), np.zeros(2), np.ones(2)),
        JointLayout(("a", "c"), np.zeros(2), np.ones(2)),
        JointLayout(("a", "b"), np.array([0.0, 1e-300]), np.ones(2)),
        JointLayout(("a", "b"), np.zeros(2), np.array([1.0, 2.0])),
    ]

    assert len({layout.hash for layout in layouts}) == len(layouts)
    assert JointLayout(("a", "b"), -np.zeros(2), np.ones(2)).hash == layouts[0].hash


def test_the_noise_of_normal_values_is_fishers():
    """His z has the variance 1 / n, whatever the correlation."""
    random = np.random.default_rng(1)
    first = random.normal(size=200_000)

    noise = CorrelationNoise.of(np.stack([first, 0.8 * first + 0.6 * random.normal(size=200_000)], axis=1))

    assert noise.spread[0, 1] == pytest.approx(1, abs=0.03)
    assert noise.skewness == pytest.approx([0, 0], abs=0.03)


def test_the_noise_of_other_values_is_what_samples_show():
    """The variance of z over 2,000 samples of two log-normal columns that go together."""
    random = np.random.default_rng(1)
    first = random.normal(size=(2_000, 500))
    second = np.exp(0.7 * first + 0.7 * random.normal(size=first.shape)).clip(max=8)
    first = np.exp(first).clip(max=8)
    seen = [np.arctanh(np.corrcoef(x, y)[0, 1]) for x, y in zip(first, second, strict=True)]

    noise = CorrelationNoise.of(np.stack([first.ravel(), second.ravel()], axis=1))

    assert noise.spread[0, 1] == pytest.approx(500 * np.var(seen), rel=0.1)
    assert not 0.9 < noise.spread[0, 1] < 1.1


def test_noise_is_known_of_constants_and_of_copies():
    """They count as independent and normal: finite, and no warning."""
    first = np.random.default_rng(1).normal(size=500)

    noise = CorrelationNoise.of(np.stack([first, first, np.full(500, 4.0)], axis=1))

    assert noise.spread.tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert noise.skewness[2] == 0
