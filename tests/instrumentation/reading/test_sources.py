"""What a container was made of, and for how long that is known."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from otel_ml.instrumentation.reading import sources
from otel_ml.instrumentation.reading.sources import SMALL, remember_source, source_of


class Container:
    """As a Pool: can be referred to weakly, and not be hashed."""

    __hash__ = None

    def __eq__(self, other):
        return NotImplemented


@pytest.mark.parametrize(
    "source",
    [np.zeros((3, 2)), pd.DataFrame({"a": [1.0]}), [[1.0, 2.0]], scipy.sparse.csr_matrix((1_000_000, 1_000))],
    ids=["array", "frame", "lists", "sparse"],
)
def test_a_small_source_lives_as_long_as_its_container(source):
    """It was made for this container, and dropped by the application."""
    container = Container()
    remember_source(container, source)
    found = source_of(container)

    del container
    gc.collect()

    assert found is source
    assert sources._sources == {}


def test_a_large_source_lives_as_long_as_the_application_keeps_it():
    """A container of a training set must not double its memory."""
    container, source = Container(), np.zeros(SMALL // 8 + 1)
    remember_source(container, source)
    was_found = source_of(container) is source
    gone = weakref.ref(source)

    del source
    gc.collect()

    assert was_found
    assert gone() is None
    assert source_of(container) is container


@pytest.mark.parametrize(
    "source", ["rows.csv", iter([]), None, 3, [[0.0]] * SMALL], ids=lambda value: type(value).__name__
)
def test_what_cannot_be_read_or_kept_is_not_remembered(source):
    """Files, iterators, and long lists, which cannot be referred to weakly."""
    container = Container()
    remember_source(container, source)

    assert source_of(container) is container


@pytest.mark.parametrize("value", [None, 3, [1], np.zeros(3), "text"])
def test_what_is_no_container_stands_for_itself(value):
    """A hook need not know which it was given."""
    assert source_of(value) is value
