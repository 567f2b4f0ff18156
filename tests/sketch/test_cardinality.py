import random
import struct

import datasketches
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sketch.mutation import mutated

from otel_ml.errors import CorruptSketchError
from otel_ml.sketch import hll_image
from otel_ml.sketch.cardinality import HyperLogLog

# Empty, lists, sets, and registers.
SIZES = (0, 1, 7, 8, 30, 150, 200, 2_000, 50_000)


def sketch_of(strings):
    sketch = HyperLogLog()
    sketch.update(strings)
    return sketch


def names(count):
    return [f"user {number}" for number in range(count)]


def library_sketch(strings):
    sketch = datasketches.hll_sketch(11, datasketches.HLL_8)
    for string in strings:
        sketch.update(string)
    return sketch


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("form", ["serialize_compact", "serialize_updatable"])
def test_every_form_of_image_holds_the_same_registers(count, form):
    """List, set and registers, compact and updatable: all read alike."""
    image = getattr(library_sketch(names(count)), form)()

    registers = hll_image.parse(image)

    assert np.array_equal(registers, sketch_of(names(count)).registers())
    assert bool(registers.any()) == bool(count)


@pytest.mark.parametrize("count", [0, 1, 100, 1_000, 10_000, 100_000, 1_000_000])
def test_the_estimate_is_close(count):
    """Within two standard errors of 2.3 %, and close to what the library makes of the same registers."""
    sketch = sketch_of(names(count))
    registers_only = HyperLogLog.from_image(hll_image.write(sketch.registers()))
    by_library = datasketches.hll_sketch.deserialize(registers_only.image()).get_estimate()

    assert sketch.estimate() == pytest.approx(count, rel=0.046, abs=0.5)
    assert sketch.estimate() == pytest.approx(by_library, rel=0.01, abs=0.01)


@given(left=st.sets(st.integers(0, 5_000), max_size=400), right=st.sets(st.integers(0, 5_000), max_size=400))
def test_merging_equals_having_seen_it_all(left, right):
    """Registers merge exactly, whichever form they came in."""
    merged = HyperLogLog.from_image(sketch_of(map(str, left)).image())
    merged.merge(sketch_of(map(str, right)))

    assert np.array_equal(merged.registers(), sketch_of(map(str, left | right)).registers())


def test_an_updated_merge_keeps_both():
    """Strings may come after a merge."""
    sketch = HyperLogLog.from_image(sketch_of(names(500)).image())
    sketch.update(f"other {number}" for number in range(500))

    assert HyperLogLog.from_image(sketch.image()).estimate() == pytest.approx(1_000, rel=0.06)


def test_the_empty_string_and_lone_surrogates_count():
    """The library ignores one and refuses the other; both are values of the user's."""
    sketch = sketch_of(["", "\udc80", "a"])

    assert not sketch.is_empty
    assert round(sketch.estimate()) == 3


@pytest.mark.parametrize("count", [0, 20, 100, 30_000])
def test_the_library_reads_what_is_written(count):
    """Also after a merge, when only registers are left."""
    image = hll_image.write(sketch_of(names(count)).registers())

    reread = datasketches.hll_sketch.deserialize(image)

    assert reread.get_estimate() == pytest.approx(count, rel=0.05, abs=0.5)
    assert np.array_equal(hll_image.parse(reread.serialize_compact()), hll_image.parse(image))


@pytest.mark.parametrize(
    ("count", "offset", "layout", "value", "complaint"),
    [
        (5, 0, "B", 3, "preamble 3"),
        (5, 1, "B", 2, "version 2"),
        (5, 2, "B", 15, "family 15"),
        (5, 3, "B", 12, "lg_k=12"),
        (5, 5, "B", 0x80, "unknown flags"),
        (5, 6, "B", 6, "do not hold 6"),
        (5, 7, "B", 0, "type 0"),
        (5, 8, "I", 0, "different ones"),
        (50, 8, "I", 0xFFFFFFFF, "do not hold"),
        (5_000, 6, "B", 1, "offset"),
        (5_000, 32, "I", 2_000, "are empty"),
        (5_000, 36, "I", 1, "offset"),
        (5_000, 100, "B", 64, "not in"),
    ],
)
def test_a_wrong_part_is_refused_with_its_reason(count, offset, layout, value, complaint):
    """The reason names the part that is wrong."""
    image = bytearray(library_sketch(names(count)).serialize_compact())
    struct.pack_into(f"<{layout}", image, offset, value)

    with pytest.raises(CorruptSketchError, match=complaint):
        hll_image.parse(bytes(image))


@pytest.mark.parametrize("target", [datasketches.HLL_4, datasketches.HLL_6])
def test_other_kinds_of_hll_are_refused(target):
    """Only HLL_8 is published."""
    sketch = datasketches.hll_sketch(11, target)
    for name in names(1_000):
        sketch.update(name)

    with pytest.raises(CorruptSketchError, match="HLL_8"):
        hll_image.parse(sketch.serialize_compact())


def test_mutated_images_are_refused_or_consistent():
    """Whatever comes, the outcome is CorruptSketchError or registers that can be."""
    sketches = [library_sketch(names(count)) for count in SIZES]
    corpus = [sketch.serialize_compact() for sketch in sketches] + [sketch.serialize_updatable() for sketch in sketches]
    rng = random.Random(11)
    refused = 0
    for _ in range(4_000):
        try:
            sketch = HyperLogLog.from_image(mutated(rng, rng.choice(corpus)))
        except CorruptSketchError:
            refused += 1
            continue
        assert sketch.registers().shape == (2_048,)
        assert sketch.registers().max() <= 63
        assert sketch.estimate() >= 0.0

    assert refused > 2_000


@given(image=st.binary(max_size=200))
def test_random_bytes_are_refused(image):
    """Nothing but CorruptSketchError comes of bytes that are no image."""
    with pytest.raises(CorruptSketchError):
        hll_image.parse(image)
