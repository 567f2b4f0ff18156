"""What tests of inputs share."""

import pytest

from otel_ml.recording.column_set import ColumnSet
from otel_ml.recording.columns import batch_of
from otel_ml.sketch.feature import FeatureRole


def numbered(width):
    return tuple(f"f{index}" for index in range(width))


def drained(columns):
    """What a set of columns has summarised, by name."""
    found = []
    for _ in columns.drain(found):
        pass
    return {column.summary.key.name: column for column in found}


def summarised(*containers, names=numbered, explicit=None, baseline=None, max_columns=100, cut=True):
    """Columns by name, as they would be summarised of these containers, one after the other."""
    columns = ColumnSet(FeatureRole.FEATURE, baseline=baseline, max_columns=max_columns)
    for container in containers:
        batch = batch_of(container, names, explicit)
        for piece in batch.pieces() if cut else [batch]:
            for _ in columns.take(piece):
                pass
    return drained(columns)


@pytest.fixture
def summaries():
    """Gives summaries by name."""

    def of(*containers, **settings):
        return {name: column.summary for name, column in summarised(*containers, **settings).items()}

    return of


@pytest.fixture
def columns():
    """Gives drained columns, which are summaries with histograms, by name."""
    return summarised
