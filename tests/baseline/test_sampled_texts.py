"""What baselines read of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.baseline import sampled_texts
from otel_ml.baseline.sampled_texts import SampledTexts
from otel_ml.sketch.text_summary import TextSummary


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
    """As with many more texts."""
    monkeypatch.setattr(sampled_texts, "BLOCK", 10)
    monkeypatch.setattr(sampled_texts, "MOST_BLOCKS", 4)


def read(*batches):
    sampled, summary = SampledTexts(), TextSummary()
    for batch in batches:
        sampled.add(batch)
    sampled.finish(summary)
    return summary


def numbered(count):
    return [f"text number {number}" for number in range(count)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (7, [0]), (40, [0, 1, 2, 3]), (41, [0, 2, 4]), (70, [0, 2, 4, 6]), (90, [0, 4, 8]), (200, [0, 8, 16])],
)
def test_blocks_are_read_at_even_distances(count, expected):
    """All of them while there are few."""
    texts = numbered(count)
    kept = TextSummary()
    for block in expected:
        kept.read(texts[10 * block : 10 * block + 10])

    summary = read(texts)

    assert summary.characters.texts == kept.characters.texts
    assert summary.vocabulary.totals.tolist() == kept.vocabulary.totals.tolist()


@given(st.lists(st.integers(0, 30), max_size=12))
def test_it_does_not_matter_how_many_come_at_a_time(sizes):
    """A file may be cut anywhere."""
    texts = numbered(sum(sizes))
    batches = [texts[sum(sizes[:place]) : sum(sizes[: place + 1])] for place in range(len(sizes))]

    pieced, whole = read(*batches), read(texts)

    assert repr(pieced.vocabulary) == repr(whole.vocabulary)
    assert repr(pieced.characters) == repr(whole.characters)
