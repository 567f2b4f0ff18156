import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch import kll_image
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.rounded_items import nearest_decimals, of_one_precision, restored_parts

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def contents_of(values):
    """What another process sent as floats."""
    sketch = QuantileSketch()
    sketch.update(values)
    contents = kll_image.parse(sketch.image(), sketch.image_kind)
    return kll_image.parse(kll_image.write(contents, "floats"), "floats")


def known(sketch):
    """Everything that anybody may ask for, to the bit."""
    seen = sketch.distribution()
    told = sketch.image_kind, sketch.image(), sketch.minimum, sketch.maximum, sketch.rank_error
    return told, seen.points.tobytes(), seen.cumulative.tobytes(), seen.minimum, seen.maximum


@given(values=st.lists(floats, max_size=50, unique=True))
def test_restoring_keeps_the_order(values):
    """Strictly: what differed still differs, and rounds to the same float again."""
    rounded = np.sort(np.array(values, np.float32))

    restored = nearest_decimals(rounded)

    assert (np.diff(restored) > 0).all()
    assert (restored.astype(np.float32) == rounded).all()


@given(cents=st.integers(-999_999, 999_999))
def test_decimals_are_restored(cents):
    """Seven digits fit in a float."""
    assert nearest_decimals(np.array([cents / 100], np.float32)).item() == cents / 100


@given(
    parts=st.lists(
        st.tuples(st.integers(1, 3_000), st.sampled_from([1.0, 0.01, 1e4]), st.booleans()), min_size=1, max_size=30
    )
)
def test_items_may_be_restored_whenever(parts):
    """Before they are merged, so that all are doubles, or long after: the same to the bit, compacted or not."""
    late, early = QuantileSketch(), QuantileSketch()
    for seed, (count, step, as_floats) in enumerate(parts):
        # Not of both zeros: which of them comes first is nobody's business.
        values = np.round(np.random.default_rng(seed).normal(size=count) * 100) * step + 0.0
        contents = contents_of(values)
        (restored,) = restored_parts([contents])
        late.merge(QuantileSketch.of_contents(contents if as_floats else restored))
        early.merge(QuantileSketch.of_contents(restored))

    assert known(late) == known(early)
    assert late.count == sum(count for count, _, _ in parts)


def test_parts_stay_rounded_only_among_themselves():
    """Floats beside doubles are no longer what they were before they were rounded."""
    rounded = contents_of(np.array([0.1, 9.99]))
    (doubles,) = restored_parts([rounded])

    assert of_one_precision([rounded, rounded]) == [rounded, rounded]
    assert [part.items.tolist() for part in of_one_precision([rounded, doubles])] == [[0.1, 9.99]] * 2
    assert (doubles.minimum, doubles.maximum) == (0.1, 9.99)
