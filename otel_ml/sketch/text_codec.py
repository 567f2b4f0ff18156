"""Writing what is known of the characters and words of texts, and reading it, written by anybody."""

from __future__ import annotations

from typing import Final

import numpy as np

from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.numbers_decoding import fail
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.text_bytes import BUCKETS, CHARACTERS, LEVELS, LEVELS_OF_WORDS
from otel_ml.sketch.text_sums import GROUP, CharacterSums, VocabularySums

MAX_TEXTS: Final = 1 << 40
"""Above, sums of cubes need not fit in 64 bits."""
_ROUNDED: Final = 1.0 + 1e-9
_PRODUCT: Final = 4 * (LEVELS_OF_WORDS + 16) ** 2
"""Above the product of two differences of vectors: their roots have the length 63, and 256 of them are rounded."""


def write_text_sums(message: pb.Text, characters: CharacterSums, vocabulary: VocabularySums) -> None:
    """Fill in sums of at least one text; others go without saying."""
    if characters.texts:
        levels, squares, cubes = characters.powers.astype(np.uint64).tolist()
        message.characters.texts = characters.texts
        message.characters.levels.extend(levels)
        message.characters.squares.extend(squares)
        message.characters.cubes.extend(cubes)
    if vocabulary.texts:
        message.vocabulary.texts = vocabulary.texts
        message.vocabulary.totals.extend(vocabulary.totals.astype(np.uint64).tolist())
        message.vocabulary.squares.extend(vocabulary.squares.astype(np.uint64).tolist())
        message.vocabulary.pairs = vocabulary.pairs
        message.vocabulary.pair_products = int(vocabulary.pair_products)


def read_characters(message: pb.TextCharacters, valid: int) -> CharacterSums:
    """Sums over some of `valid` texts.

    Raises:
        CorruptSnapshotError: They contradict themselves.
    """
    texts, powers = message.texts, (message.levels, message.squares, message.cubes)
    if not 0 < texts <= min(valid, MAX_TEXTS):
        fail(f"characters: of {texts} texts, where the counters leave {valid}")
    if any(len(sums) != len(CHARACTERS) for sums in powers):
        fail(f"characters: {', '.join(str(len(sums)) for sums in powers)} sums ({len(CHARACTERS)} each)")
    first, second, third = (np.array(sums, np.float64) for sums in powers)
    cubes = (second <= third) & (third <= LEVELS * second) & (np.square(second) <= _ROUNDED * first * third)
    if not _are_sums(first, second, texts, LEVELS) or not cubes.all():
        fail(f"characters: sums are not those of {texts} levels, their squares and cubes")
    return CharacterSums(texts, np.stack([first, second, third]))


def read_vocabulary(message: pb.TextVocabulary) -> VocabularySums:
    """Sums over texts, perhaps of other intervals.

    Raises:
        CorruptSnapshotError: They contradict themselves.
    """
    texts, totals, squares = message.texts, message.totals, message.squares
    if not 0 < texts <= MAX_TEXTS or not len(totals) == len(squares) == BUCKETS:
        fail(
            f"vocabulary: {len(totals)} totals and {len(squares)} squares of {texts} texts ({BUCKETS} of at least one)"
        )
    first, second = np.array(totals, np.float64), np.array(squares, np.float64)
    if not _are_sums(first, second, texts, LEVELS_OF_WORDS):
        fail(f"vocabulary: sums are not those of {texts} levels and their squares")
    # Half as many pairs of texts as texts, each multiplied with seven others at most.
    if message.pairs > GROUP // 4 * texts or abs(message.pair_products) > _PRODUCT**2 * message.pairs:
        fail(f"vocabulary: {message.pairs} pairs with a product of {message.pair_products} of {texts} texts")
    return VocabularySums(
        texts,
        first,
        second,
        message.pairs,
        float(message.pair_products),
    )


def _are_sums(first: FloatArray, second: FloatArray, texts: int, levels: int) -> bool:
    """Whether these can be sums over so many whole numbers from 0 to `levels`, and over their squares."""
    within = (first <= second) & (second <= levels * first) & (first <= levels * texts)
    # Cauchy-Schwarz.
    return bool((within & (np.square(first) <= _ROUNDED * texts * second)).all())
