"""What a message says about vectors is read, or refused."""

import pytest

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.embedding_decoding import read_vectors
from otel_ml.sketch.numeric_summary import NumericSummary


def of_one_dimension(**changes):
    """Three times the vector [1]."""
    message = pb.Embedding(dimensions=1, mean=[1.0], scatter=[0.0], radial_third=[0.0], radial_fourth=0.0)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_vectors_that_are_all_the_same_have_no_moments_about_their_mean():
    """But a sum, and sums of powers."""
    summary = read_vectors(of_one_dimension(), 3, NumericSummary())

    assert (summary.count, summary.total.tolist(), summary.products.tolist()) == (3, [3.0], [[3.0]])
    assert (summary.cubes.tolist(), summary.fourth) == ([3.0], 3.0)


@pytest.mark.parametrize("fourth", [-1e-45, -1e-30, -1.0])
def test_a_sum_of_fourth_powers_below_zero_is_refused_however_small(fourth):
    """The smallest there is lies within what rounding could explain; its root would be no number all the same."""
    with pytest.raises(CorruptSnapshotError, match="radial_fourth is smaller than the variances allow"):
        read_vectors(of_one_dimension(radial_fourth=fourth), 3, NumericSummary())
