"""Columns read all at once are the columns that are read one by one."""

import random

import numpy as np
import pytest
from processor_samples import Producer, categorical, numeric

from benchmarks.fuzz.mutations import _meant
from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import codec
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.feature import FeatureRole

FOUR, SIX = BinLayout(np.array([0.0, 1.0, 2.0])), BinLayout(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))


def payload(*extra):
    """Columns in bins: of two layouts, with zeros among their moments, missing values, no values, an exemplar."""
    random_values = np.random.default_rng(1).normal(size=(4, 50))
    features = [
        numeric("normal", random_values[0], layout=FOUR),
        numeric("other layout", random_values[1], layout=SIX),
        numeric("from zero on", np.abs(random_values[2]).round(), layout=FOUR, missing=3),
        numeric("all zero", np.zeros(50), layout=FOUR, mismatched=300),
        numeric("score", random_values[3], layout=SIX, role=FeatureRole.SCORE),
    ]
    features[4].exemplars.append(Exemplar(ExemplarReason.LARGEST, 1, 2, 3, "id", 0.5))
    return codec.encode(Producer().snapshot(*features, *extra), pack=False)


def one_by_one(encoded):
    """The same snapshot, of which nothing is read at once: rows of one matrix are in two, one of which has none."""
    message = pb.Snapshot.FromString(encoded)
    for matrix in list(message.bin_matrices):
        message.bin_matrices.add(bins=matrix.bins)
    return message.SerializeToString()


def read(encoded):
    """All that is known of the features, or that there is none."""
    try:
        snapshot = codec.decode(encoded)
    except CorruptSnapshotError:
        return "corrupt"
    blocks = [
        (block.identity, block.counters.tolist(), block.moments.columns(), block.exemplars) for block in snapshot.binned
    ]
    return codec.encode(snapshot, pack=False), repr(blocks), len(snapshot.unbinned)


@pytest.mark.parametrize(
    "extra",
    [
        (),
        (categorical("country", {"DE": 3}), numeric("sketched", np.arange(100.0))),
        (numeric("without values", [], layout=FOUR, missing=9),),
        (numeric("x" * 200, [1.0, 2.0], layout=FOUR),),
        (numeric("é" * 100, [1.0, 2.0], layout=SIX),),
    ],
    ids=["plain", "others", "empty", "long name", "foreign name"],
)
def test_reading_at_once_reads_the_same(extra):
    """In the same order, beside whatever other columns."""
    encoded = payload(*extra)

    assert read(encoded) == read(one_by_one(encoded)) != "corrupt"


def test_what_is_wrong_is_wrong_either_way():
    """Whatever somebody changes in the message."""
    encoded = payload(categorical("country", {"DE": 50}))
    outcomes = set()
    for seed in range(400):
        changed = _meant(random.Random(seed), pb.Snapshot, encoded)
        found = read(changed)
        outcomes.add(found == "corrupt")

        assert found == read(one_by_one(changed)), seed
    assert outcomes == {True, False}


def test_features_are_those_that_came_even_if_their_block_has_grown():
    """A window adds to the matrices of the first snapshot it is given."""
    snapshot = codec.decode(payload())
    (block, _), other = snapshot.binned, codec.decode(payload())

    block.merge(other.binned[0])

    assert [feature.counters.rows for feature in snapshot.features] == [
        feature.counters.rows for feature in other.features
    ]


@pytest.mark.parametrize("changes", ["same name", "joint", "same as another"])
def test_a_key_comes_once(changes):
    """Among the columns in bins and between them and the others."""
    message = pb.Snapshot.FromString(payload(categorical("country", {"DE": 50})))
    if changes == "joint":
        message.features[0].role = pb.ROLE_JOINT
    else:
        message.features[0].name = message.features[5 if changes == "same as another" else 2].name

    with pytest.raises(CorruptSnapshotError, match=r"is there already as|several features together"):
        codec.decode(message.SerializeToString())
