"""What the bytes of texts say, many texts at a time: which characters they have, and where their words fall.

All of it is defined on UTF-8 bytes, so that a server in any language finds the same; `snapshot.proto` says how.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from otel_ml.sketch.sketch import FloatArray

READ_CHARACTERS: Final = 10_000
"""Of a text, for its words and for telling it from others: a book would hold up a server that is to summarise it."""
BUCKETS: Final = 256
"""That words fall into."""
CHARACTERS: Final = (
    "letters",
    "upper case",
    "digits",
    "punctuation",
    "markup",
    "white space",
    "non-ASCII",
    "damage",
    "word length",
)
"""What is known of the characters of a text, in the order in which it is kept: eight shares, and a length."""
LEVELS: Final = 255
"""Of each; the highest stands for a share of 1, or for words of 64 characters on average."""
LEVELS_OF_WORD_LENGTH: Final = 32
"""Levels of a mean word length of 1."""
LEVELS_OF_WORDS: Final = 63
"""Of the part of a text's words that falls in a bucket; the highest stands for all of them."""
SHORTEST_WORD: Final = 3
"""Bytes of the words that are counted: shorter ones are in all texts, whatever these are about."""

_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_LETTERS, _, _DIGITS, _, _, _WHITE_SPACE, _BEYOND, _DAMAGE, _ = range(len(CHARACTERS))
_BATCH_BYTES: Final = 20_000
"""Read in one go."""
_BYTES_BESIDES: Final = 200
"""A short text costs as much as so many bytes."""
_MOST_BYTES: Final = _BATCH_BYTES + 4 * READ_CHARACTERS + 1
_MARKUP: Final = "<>{}[]=\\|_&#/@~^`*"
_BLANKS: Final = "\t\n\v\f\r "
_REPLACED: Final = "\ufffd"

Bytes = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]


class ReadTexts(NamedTuple):
    """What some texts are made of.

    Attributes:
        characters: (texts, 9) a level for each of `CHARACTERS`.
        words: (texts with such words, 256) levels of the roots of the shares of a text's words of three bytes or more
            that fall in each bucket.
    """

    characters: FloatArray
    words: Levels


def read_texts(texts: Sequence[str], *, with_words: bool = True) -> Iterator[ReadTexts]:
    """Read texts, those without a character left out, in batches of about 20,000 bytes or one text.

    Args:
        texts: Any strings; of each, 10,000 characters count.
        with_words: Whether to hash words too; else there are none.
    """
    batch: list[str] = []
    held = 0
    for text in texts:
        if text:
            batch.append(text[:READ_CHARACTERS])
            # A character has four bytes at most.
            held += len(batch[-1]) * (1 if text.isascii() else 4) + _BYTES_BESIDES
            if held >= _BATCH_BYTES:
                yield _read(batch, with_words=with_words)
                batch, held = [], 0
    if batch:
        yield _read(batch, with_words=with_words)


def _read(texts: Sequence[str], *, with_words: bool) -> ReadTexts:
    joined = "\n".join(texts)
    data = joined.encode("utf-8", "surrogatepass")
    is_ascii = len(data) == len(joined)
    sizes = (
        np.fromiter(map(len, texts), np.intp, len(texts))
        if is_ascii
        else np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts], np.intp)
    )
    bounds = np.zeros(len(texts) + 1, np.intp)
    np.add.accumulate(sizes + 1, out=bounds[1:])
    starts, ends, folded = _words(data, is_ascii=is_ascii)
    words = _of_each(starts, bounds)
    characters = _characters(texts, data, bounds[:-1], words, is_ascii=is_ascii)
    if not with_words:
        return ReadTexts(characters, np.empty((0, BUCKETS), np.float32))
    is_long = ends - starts >= SHORTEST_WORD
    starts, ends = starts[is_long], ends[is_long]
    words = _of_each(starts, bounds)
    buckets = _hashed(folded, starts, ends)
    cells = np.repeat(np.arange(len(texts)) * BUCKETS, words) + buckets
    counts = np.bincount(cells, minlength=len(texts) * BUCKETS).reshape(len(texts), BUCKETS)
    has_words = words > 0
    if not has_words.all():
        counts, words = counts[has_words], words[has_words]
    levels = counts.astype(np.float32)
    np.sqrt(levels, out=levels)
    levels *= (LEVELS_OF_WORDS / np.sqrt(words))[:, np.newaxis].astype(np.float32)
    return ReadTexts(characters, np.rint(levels, out=levels))


def _of_each(places: Places, bounds: Places) -> Places:
    """How many of increasing places are in each text."""
    before = places.searchsorted(bounds)
    return before[1:] - before[:-1]


def _words(data: bytes, *, is_ascii: bool) -> tuple[Places, Places, Bytes]:
    """Where words start and end, and the bytes with ASCII letters in lower case, and 0 between words."""
    folded = np.frombuffer(data.translate(_FOLDED), np.uint8)
    is_word = np.empty(len(folded) + 2, np.bool_)
    is_word[0] = is_word[-1] = False
    np.not_equal(folded, 0, out=is_word[1:-1])
    borders = np.flatnonzero(is_word[1:] != is_word[:-1])
    starts, ends = borders[::2], borders[1::2]
    if not is_ascii:
        # Chinese and Japanese have no blanks between words: there, each character is taken for one.
        apart = np.flatnonzero((folded >= 0xE3) & (folded <= 0xE9))
        apart = apart[is_word[apart]]
        starts, ends = np.sort(np.concatenate([starts, apart])), np.sort(np.concatenate([ends, apart]))
    return starts, ends, folded


def _hashed(folded: Bytes, starts: Places, ends: Places) -> Places:
    """The bucket of each word: with h = 0, h = (h + byte) · multiplier mod 2⁶⁴ for each of its bytes, then h / 2⁵⁶.

    As differences of running sums: a byte at i of a word that ends before e is multiplied by multiplier^(e - i), which
    is multiplier^e over multiplier^i, and an odd number has an inverse modulo 2⁶⁴.
    """
    powers, inverses = _powers()
    running = np.empty(len(folded) + 1, np.uint64)
    running[0] = 0
    np.add.accumulate(folded * inverses[: len(folded)], out=running[1:])
    hashes = (running[ends] - running[starts]) * powers[ends]
    buckets: Places = (hashes >> np.uint64(56)).astype(np.intp)
    return buckets


@functools.cache
def _powers() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Powers of the multiplier and of its inverse, modulo 2⁶⁴."""
    factors = np.full((2, _MOST_BYTES + 1), [[_MULTIPLIER], [pow(_MULTIPLIER, -1, 1 << 64)]], np.uint64)
    factors[:, 0] = 1
    powers, inverses = np.cumprod(factors, axis=1, dtype=np.uint64)
    return powers, inverses


def _characters(texts: Sequence[str], data: bytes, begins: Places, words: Places, *, is_ascii: bool) -> FloatArray:
    raw = np.frombuffer(data, np.uint8)
    counted = np.empty((len(texts), 2), "<u8")
    for place, table in enumerate(_CLASSES):
        np.add.reduceat(table.take(raw), begins, out=counted[:, place])
    counts = counted.view("<u2").astype(np.float64)
    # The line feeds between texts, which are none of their own.
    counts[:-1, _WHITE_SPACE] -= 1
    if not is_ascii and _REPLACED.encode() in data:
        counts[:, _DAMAGE] += [text.count(_REPLACED) for text in texts]
    in_words = counts[:, _LETTERS] + counts[:, _DIGITS] + counts[:, _BEYOND]
    levels = np.empty((len(texts), len(CHARACTERS)))
    levels[:, :-1] = counts
    levels[:, :-1] *= (LEVELS**2 / np.fromiter(map(len, texts), np.float64, len(texts)))[:, np.newaxis]
    levels[:, -1] = in_words * LEVELS_OF_WORD_LENGTH**2 / np.maximum(words, 1)
    np.sqrt(levels, out=levels)
    np.minimum(levels[:, -1], LEVELS, out=levels[:, -1])
    return np.rint(levels, out=levels)


def _folded(byte: int) -> int:
    if byte >= 0x80:
        return byte
    character = chr(byte).lower()
    return ord(character) if character in string.ascii_lowercase + string.digits else 0


def _classes(byte: int) -> tuple[bool, ...]:
    character = chr(byte) if byte < 0x80 else ""
    is_punctuation = character != "" and character in string.punctuation
    is_blank = character != "" and character in _BLANKS
    return (
        character.isalpha(),
        character.isupper(),
        character.isdigit(),
        is_punctuation,
        is_punctuation and character in _MARKUP,
        is_blank,
        byte >= 0xC0,
        # Control characters, and U+0080 to U+00BF, which are left where bytes were read in a wrong encoding.
        byte == 0xC2 or (byte < 0x80 and not is_blank and not character.isprintable()),
    )


def _packed(classes: slice) -> npt.NDArray[np.uint64]:
    """Four counters of 16 bits each, by byte: a text has at most 40,000 bytes."""
    return np.array(
        [sum(flag << 16 * place for place, flag in enumerate(_classes(byte)[classes])) for byte in range(256)],
        np.uint64,
    )


_FOLDED: Final = bytes(map(_folded, range(256)))
_CLASSES: Final = (_packed(slice(0, 4)), _packed(slice(4, 8)))
