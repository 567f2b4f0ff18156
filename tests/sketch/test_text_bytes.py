"""What the bytes of texts say."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.text_bytes import BUCKETS, CHARACTERS, read_texts

# Letters of one to four bytes, lone surrogates, characters that damage leaves, and what stands between words.
LETTERS = "aZ09éß\u00a0\u00bfЖж语かカ\ufffd\ud800😀 \n\t\x00\x7f.<{#_"
some_texts = st.lists(st.text(st.sampled_from(LETTERS) | st.characters(), max_size=60), max_size=12)


def read(texts):
    batches = list(read_texts(texts))
    return [np.concatenate([batch[kind] for batch in batches]) for kind in (0, 1)] if batches else [[], []]


def bucket(word):
    """As the schema has it."""
    found = 0
    for byte in word:
        found = (found + byte) * 0x9E3779B97F4A7C15 % (1 << 64)
    return found >> 56


def words_of(text):
    data = text.encode("utf-8", "surrogatepass").lower()
    return re.findall(rb"[\xe3-\xe9][a-z0-9\x80-\xe2\xea-\xff]*|[a-z0-9\x80-\xe2\xea-\xff]+", data)


@given(some_texts)
def test_words_fall_where_the_schema_says(texts):
    """Read together, each text is as it is alone, and as who follows the words of the schema finds it."""
    expected = []
    for text in texts:
        words = [word for word in words_of(text) if len(word) >= 3]
        counts = Counter(map(bucket, words))
        if words:
            expected.append([63 * (counts[place] / len(words)) ** 0.5 for place in range(BUCKETS)])

    found = np.reshape(read(texts)[1], (-1, BUCKETS))
    assert len(found) == len(expected)
    # Half way between two levels, which one it is depends on the order of the arithmetic.
    assert np.abs(found - np.reshape(expected, (-1, BUCKETS))).max(initial=0) <= 0.5 + 1e-4
    assert (found == np.rint(found)).all()


@given(some_texts)
def test_characters_are_counted_as_the_schema_says(texts):
    """Shares as levels, each the root of one."""
    expected = []
    for text in filter(None, texts):
        ascii_only = [character for character in text if character < "\x80"]
        blanks = sum(character in "\t\n\v\f\r " for character in ascii_only)
        letters, digits = (sum(map(kind, ascii_only)) for kind in (str.isalpha, str.isdigit))
        beyond = len(text) - len(ascii_only)
        odd = [character for character in text if character < " " or "\x7f" <= character < "\xc0" or character == "�"]
        counts = [
            letters,
            sum(map(str.isupper, ascii_only)),
            digits,
            len(re.findall(r"[!-/:-@\[-`{-~]", text)),
            len(re.findall(r"[<>{}\[\]=\\|_&#/@~^`*]", text)),
            blanks,
            beyond,
            sum(character not in "\t\n\v\f\r" for character in odd),
        ]
        word_length = (letters + digits + beyond) / max(len(words_of(text)), 1)
        expected.append([255 * (count / len(text)) ** 0.5 for count in counts] + [min(255, 32 * word_length**0.5)])

    found = np.reshape(read(texts)[0], (-1, len(CHARACTERS)))

    # Rounding may fall on either side of a half.
    assert found == pytest.approx(np.reshape(expected, (-1, len(CHARACTERS))), abs=0.5 + 1e-9)


def test_the_hash_of_a_word_never_changes():
    """Baselines and replicas of other versions count in the same buckets."""
    (batch,) = read_texts(["the Quick brown_fox, naïve 语言 x 2024"])

    assert np.flatnonzero(batch.words[0]).tolist() == sorted(
        {bucket(word.encode()) for word in ("the", "quick", "brown", "fox", "naïve", "语", "言", "2024")}
    )
    assert [bucket(b"the"), bucket(b"quick"), bucket("naïve".encode())] == [193, 164, 194]


def test_characters_of_a_plain_sentence():
    """As counted by hand: 19 letters of 26 characters, 2 of them in upper case, and 5 words."""
    (batch,) = read_texts(["The Cat sat on <b>mats</b>"])

    shares = dict(zip(CHARACTERS, (batch.characters[0] / 255) ** 2, strict=True))
    assert shares["letters"] == pytest.approx(17 / 26, abs=0.005)
    assert shares["upper case"] == pytest.approx(2 / 26, abs=0.005)
    assert shares["white space"] == pytest.approx(4 / 26, abs=0.005)
    assert shares["markup"] == shares["punctuation"] == pytest.approx(5 / 26, abs=0.005)
    assert (shares["digits"], shares["non-ASCII"], shares["damage"]) == (0, 0, 0)


@pytest.mark.parametrize("wrong", ["latin-1", "cp1252"])
def test_a_wrong_encoding_leaves_damage(wrong):
    """UTF-8 that is read as something else."""
    text = "Où est l'élève dégoûté ? Là-bas, près de la forêt."
    (batch,) = read_texts([text, text.encode().decode(wrong, "replace")])

    right, broken = batch.characters[:, CHARACTERS.index("damage")]
    assert right == 0
    assert broken > 60


def test_no_more_than_ten_thousand_characters_are_read():
    """Of the longest there are, in the longest encoding."""
    (batch,) = read_texts(["😀" * 1_000_000])

    assert batch.characters[0, CHARACTERS.index("non-ASCII")] == 255
    assert batch.words.sum() == 63


def test_words_are_not_hashed_where_nobody_wants_them():
    """Characters are, all the same."""
    (batch,) = read_texts(["some words"], with_words=False)

    assert batch.words.shape == (0, BUCKETS)
    assert batch.characters.any()
