"""What is known of texts, and what is not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.feature_encoding import write_feature
from otel_ml.sketch.summary import FeatureSummary
from otel_ml.sketch.text_summary import TextSummary


def test_texts_are_measured():
    """Characters are code points, words are what white space separates."""
    summary = TextSummary()

    summary.update(["two words", "émile", "a\tb\n c"])

    assert summary.lengths.exact.values.tolist() == [5.0, 6.0, 9.0]
    assert summary.words.exact.values.tolist() == [1.0, 2.0, 3.0]
    assert summary.count == 3
    assert round(summary.cardinality.estimate()) == 3


def test_blank_texts_are_empty():
    """However many blanks there are, the length is 0."""
    summary = TextSummary()

    summary.update(["", " ", "\n\t ", "x"])

    assert summary.empty == 3
    assert dict(zip(summary.lengths.exact.values, summary.lengths.exact.counts, strict=True)) == {0.0: 3, 1.0: 1}


def test_lengths_are_counted_in_the_bins_of_a_baseline():
    """Where the process knows it; words have no bins."""
    summary = TextSummary.anchored(BinLayout(np.array([2.0, 4.0])))

    summary.update(["a", "abc", "abcd", "abcdefg hij"])

    assert [bins.counts.tolist() for bins in summary.lengths.bins.values()] == [[1, 2, 1]]
    assert summary.lengths.exact is None
    assert summary.words.exact.count == 4


@given(st.lists(st.text("abcde", min_size=5), min_size=1, max_size=20))
def test_no_word_is_kept(texts):
    """Nothing of what a text says is on the wire."""
    summary = TextSummary()
    summary.update(texts)
    message = pb.Feature()

    write_feature(message, FeatureSummary(FeatureKey(FeatureRole.FEATURE, "0"), summary, Counters(len(texts))))

    assert not any(text.encode() in message.SerializeToString() for text in texts)
