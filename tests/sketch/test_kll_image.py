import random
import struct
from dataclasses import replace
from itertools import permutations

import datasketches
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sketch.mutation import mutated

from otel_ml.errors import CorruptSketchError
from otel_ml.sketch import kll_image
from otel_ml.sketch.kll_image import KllContents

LIBRARY = {"doubles": datasketches.kll_doubles_sketch, "floats": datasketches.kll_floats_sketch}
DTYPES = {"doubles": np.float64, "floats": np.float32}
SIZES = (0, 1, 2, 5, 199, 700, 5_000, 100_000)


def library_sketch(kind, values, k=200):
    sketch = LIBRARY[kind](k)
    if len(values):
        sketch.update(np.array(values, DTYPES[kind]))
    return sketch


def normal(count, seed=0):
    return np.random.default_rng(seed).normal(size=count)


def sorted_pairs(contents):
    return sorted(zip(contents.items.tolist(), contents.weights.tolist(), strict=True))


@pytest.mark.parametrize("kind", ["doubles", "floats"])
@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("k", [8, 200, 1600])
def test_a_genuine_image_holds_what_the_library_holds(kind, count, k):
    """Items, weights, count and extremes are the library's own."""
    sketch = library_sketch(kind, normal(count), k)
    image = sketch.serialize()

    contents = kll_image.parse(image, kind)

    assert (contents.k, contents.count) == (k, count)
    assert sorted_pairs(contents) == sorted((float(item), weight) for item, weight in sketch)
    if count:
        assert (contents.minimum, contents.maximum) == (sketch.get_min_value(), sketch.get_max_value())


@pytest.mark.parametrize("kind", ["doubles", "floats"])
def test_the_image_of_a_merge_of_different_k_is_read(kind):
    """A merged image says the smaller k in min_k, which decides its error."""
    sketch = library_sketch(kind, normal(50_000), 400)
    sketch.merge(library_sketch(kind, normal(50_000, 1), 200))

    contents = kll_image.parse(sketch.serialize(), kind)

    assert (contents.k, contents.min_k, contents.count) == (400, 200, 100_000)


@pytest.mark.parametrize("kind", ["doubles", "floats"])
@given(
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=600),
    k=st.integers(8, 300),
)
def test_what_is_written_the_library_reads(kind, values, k):
    """Writing what was read gives the library the same ranks, count and extremes."""
    sketch = library_sketch(kind, values, k)
    contents = kll_image.parse(sketch.serialize(), kind)

    reread = LIBRARY[kind].deserialize(kll_image.write(contents, kind))

    assert reread.n == sketch.n
    assert kll_image.parse(reread.serialize(), kind).items.tolist() == contents.items.tolist()
    for value in values[:20]:
        assert reread.get_rank(value) == sketch.get_rank(value)
        assert reread.get_min_value() == sketch.get_min_value()
        assert reread.get_max_value() == sketch.get_max_value()


def test_more_items_than_a_sketch_holds_are_not_written():
    """An image with too many items for its k would be refused by every reader."""
    contents = KllContents.of_levels([np.arange(300.0)], k=200, min_k=200, minimum=0.0, maximum=299.0)

    with pytest.raises(ValueError, match="too many for k=200"):
        kll_image.write(contents, "doubles")


@pytest.mark.parametrize(
    ("offset", "layout", "value", "complaint"),
    [
        (1, "B", 3, "no image's"),
        (2, "B", 7, "family 7"),
        (3, "B", 0x80, "no image's"),
        (4, "H", 5000, "k=5000"),
        (4, "H", 7, "k=7"),
        (6, "B", 9, "m=9"),
        (8, "Q", 1 << 60, "out of range"),
        (8, "Q", 4_999, "do not add up"),
        (16, "H", 201, "out of range"),
        (18, "B", 62, "out of range"),
        (18, "B", 0, "out of range"),
        (20, "I", 1, "level offsets"),
        (24, "I", 0xFFFFFFFF, "level offsets"),
    ],
)
def test_a_wrong_header_is_refused_with_its_reason(offset, layout, value, complaint):
    """The reason names the part of the header that is wrong."""
    image = bytearray(library_sketch("doubles", normal(5_000)).serialize())
    struct.pack_into(f"<{layout}", image, offset, value)

    with pytest.raises(CorruptSketchError, match=complaint):
        kll_image.parse(bytes(image), "doubles")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_an_item_that_cannot_be_is_refused(value):
    """Items are finite and lie between the minimum and the maximum."""
    image = bytearray(library_sketch("doubles", normal(5_000)).serialize())
    struct.pack_into("<d", image, len(image) - 8, value)

    with pytest.raises(CorruptSketchError, match="not finite or not within"):
        kll_image.parse(bytes(image), "doubles")


def test_an_unsorted_level_is_refused():
    """Above level zero, order is part of the format."""
    image = bytearray(library_sketch("doubles", normal(5_000)).serialize())
    image[-16:] = image[-8:] + image[-16:-8]

    with pytest.raises(CorruptSketchError, match="not sorted"):
        kll_image.parse(bytes(image), "doubles")


def test_an_image_above_64_kib_is_refused_unread():
    """Caps come before everything else."""
    with pytest.raises(CorruptSketchError, match="at most 65536"):
        kll_image.parse(bytes(kll_image.MAX_BYTES + 1), "doubles")


def test_an_image_of_doubles_is_not_taken_for_floats():
    """An image does not tell its type; its size does."""
    with pytest.raises(CorruptSketchError):
        kll_image.parse(library_sketch("doubles", normal(5_000)).serialize(), "floats")


def outcome(parse, *arguments):
    """What was read, to the bit, or what is wrong with it."""
    try:
        return [(repr(replace(one, items=None)), one.items.dtype, one.items.tobytes()) for one in parse(*arguments)]
    except CorruptSketchError as error:
        return str(error)


def one_by_one(images):
    return [kll_image.parse(*image) for image in images]


@settings(max_examples=300)
@given(
    kinds_and_sizes=st.lists(st.tuples(st.sampled_from(["doubles", "floats"]), st.sampled_from(SIZES)), max_size=8),
    changed=st.sets(st.integers(0, 7)),
    rng=st.randoms(use_true_random=False),
)
def test_many_images_are_read_as_each_of_them(kinds_and_sizes, changed, rng):
    """Of both kinds, empty ones among them; and of those that are corrupt the first one is told."""
    images = [(library_sketch(kind, normal(count)).serialize(), kind) for kind, count in kinds_and_sizes]
    images = [(mutated(rng, image) if place in changed else image, kind) for place, (image, kind) in enumerate(images)]

    assert outcome(kll_image.parse_all, images) == outcome(one_by_one, images)


@pytest.mark.parametrize("kind", ["doubles", "floats"])
def test_what_is_wrong_is_found_wherever_it_is(kind):
    """An item of one image is no excuse for that of another, and neither is the end of one the beginning of another."""
    sound = library_sketch(kind, normal(700)).serialize()
    item_bytes = np.dtype(DTYPES[kind]).itemsize
    unsorted = sound[: -2 * item_bytes] + sound[-item_bytes:] + sound[-2 * item_bytes : -item_bytes]
    infinite = sound[:-item_bytes] + np.array([np.inf], DTYPES[kind]).tobytes()
    cut_off = sound[:-1]

    found = {
        (first, second): outcome(kll_image.parse_all, [(image, kind) for image in (sound, first, second, sound)])
        for first, second in permutations((unsorted, infinite, cut_off), 2)
    }

    reasons = {unsorted: "not sorted", infinite: "not finite", cut_off: "whole items"}
    assert all(reasons[first] in reason for (first, _), reason in found.items())


def test_one_value_may_come_as_a_level():
    """The library writes it without, but nothing forbids it."""
    level = kll_image.write(KllContents.of_levels([np.arange(2.0)], k=200, min_k=200, minimum=0, maximum=1), "doubles")
    image = bytearray(level[:-8])
    struct.pack_into("<Q", image, 8, 1)
    struct.pack_into("<I", image, 20, 199)
    struct.pack_into("<3d", image, 24, 7.0, 7.0, 7.0)

    contents = kll_image.parse(bytes(image), "doubles")

    assert (contents.count, contents.items.tolist(), contents.minimum, contents.maximum) == (1, [7.0], 7.0, 7.0)


@pytest.mark.parametrize("kind", ["doubles", "floats"])
def test_mutated_images_are_refused_or_consistent(kind):
    """Whatever comes, the outcome is CorruptSketchError or contents that keep every promise."""
    corpus = [library_sketch(kind, normal(count)).serialize() for count in SIZES]
    rng = random.Random(7)
    refused = 0
    for _ in range(4_000):
        image = mutated(rng, rng.choice(corpus))
        try:
            contents = kll_image.parse(image, kind)
        except CorruptSketchError:
            refused += 1
            continue
        assert contents.count == int(contents.weights.sum()) <= kll_image.MAX_COUNT
        assert len(contents.items) == sum(contents.lengths) <= len(image)
        if contents.count:
            assert np.isfinite(contents.items).all()
            assert contents.minimum <= contents.items.min() <= contents.items.max() <= contents.maximum
            assert all((np.diff(level) >= 0).all() for level in contents.levels)

    assert refused > 2_000


@settings(max_examples=300)
@given(image=st.binary(max_size=300), kind=st.sampled_from(["doubles", "floats"]))
def test_random_bytes_are_refused(image, kind):
    """Nothing but CorruptSketchError comes of bytes that are no image."""
    try:
        contents = kll_image.parse(image, kind)
    except CorruptSketchError:
        return

    assert contents.count <= 1
