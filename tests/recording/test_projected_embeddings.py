"""Vectors of a model whose baseline projects them."""

import numpy as np
from vector_samples import over_the_wire

from otel_ml.baseline import Baseline
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE, compare_vectors
from otel_ml.recording.object_column import object_column
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole

KEY = FeatureKey(FeatureRole.FEATURE, "meaning")


def vectors(seed, rows, dimensions):
    return np.random.default_rng(seed).normal(1.0, size=(rows, dimensions))


def baseline_of(matrix):
    return Baseline.build({"meaning": list(matrix)}, model="search")


def recorded(matrix, baseline):
    column = object_column(KEY, FeatureKind.EMBEDDING, "meaning", baseline, lambda: 0.0)
    for _ in column.update(matrix):
        pass
    return column.drain().content


def test_a_process_that_knows_the_baseline_projects_as_it_does():
    """So that every multivariate detector applies, with a test."""
    baseline = baseline_of(vectors(1, 2_500, 70))
    window = over_the_wire(recorded(vectors(2, 500, 70) + 0.3, baseline))

    results = compare_vectors(baseline.features[KEY].content, window, [d() for d in BUILTIN_MULTIVARIATE.values()])

    assert [result.method for result in results] == list(BUILTIN_MULTIVARIATE)
    assert all(result.p_value is not None for result in results)
    assert {result.method for result in results if result.p_value < 1e-6} >= {"mahalanobis", "mmd"}


def test_a_process_without_a_baseline_keeps_moments_only():
    """There is no measure that all replicas would share."""
    window = recorded(vectors(2, 500, 200), None)

    assert window.projected is None
    assert window.radial_moments() is not None


def test_a_baseline_is_the_same_from_a_file(tmp_path):
    """Layout included, to the bit: its hash is what windows are compared by."""
    built = baseline_of(vectors(1, 300, 3))
    built.save(tmp_path / "search.baseline")

    loaded = Baseline.load(tmp_path / "search.baseline")

    was, now = (baseline.features[KEY].content.projected for baseline in (built, loaded))
    assert now.layout.hash == now.layout_hash == was.layout_hash
    assert now.counts.tolist() == was.counts.tolist()
    assert now.count == 300


def test_vectors_that_are_all_the_same_are_not_projected():
    """A baseline without spread has nothing to measure by."""
    baseline = baseline_of(np.ones((50, 4)))

    assert baseline.features[KEY].content.projected is None
    assert recorded(np.ones((50, 4)), baseline).projected is None
