"""What is known of the characters and words of texts, on the wire."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.text_codec import read_characters, read_vocabulary, write_text_sums
from otel_ml.sketch.text_summary import TextSummary

TEXTS = ["how are you today", "Ich weiß es nicht.", "<b>42</b>", "?", "如何 reset"] * 5


def message_of(texts, vocabulary=True):
    summary, message = TextSummary(), pb.Text()
    summary.read(texts, vocabulary=vocabulary)
    write_text_sums(message, summary.characters, summary.vocabulary)
    return summary, message


@given(st.lists(st.text(max_size=40), max_size=40))
def test_sums_come_back_as_they_were(texts):
    """Exactly: they are whole numbers."""
    summary, message = message_of(texts)
    again = pb.Text.FromString(message.SerializeToString())

    if summary.characters.texts:
        characters = read_characters(again.characters, len(texts))
        assert characters.powers.tolist() == summary.characters.powers.tolist()
        assert characters.texts == summary.characters.texts
    if summary.vocabulary.texts:
        vocabulary = read_vocabulary(again.vocabulary)
        assert repr(vocabulary) == repr(summary.vocabulary)
        assert vocabulary.squares.tolist() == summary.vocabulary.squares.tolist()
    assert again.HasField("characters") == any(texts)


def test_words_are_not_sent_where_they_were_not_read():
    """Not even as zeros."""
    _, message = message_of(TEXTS, vocabulary=False)

    assert message.HasField("characters")
    assert not message.HasField("vocabulary")


def test_sums_take_little_room():
    """What a thousand texts of fifty words send; the lengths and the distinct texts come on top."""
    _, message = message_of([" ".join(f"word{(7 * i * j) % 900}" for j in range(50)) for i in range(1_000)])

    assert message.ByteSize() < 1_300


@pytest.mark.parametrize(
    ("field", "change", "complaint"),
    [
        ("characters", {"texts": 0}, "characters: of 0 texts"),
        ("characters", {"texts": 26}, "characters: of 26 texts, where the counters leave 25"),
        ("characters", {"levels": [1] * 8}, "characters: 8, 9, 9 sums"),
        ("characters", {"levels": [25 * 256] + [0] * 8}, "characters: sums are not those of 25 levels"),
        ("characters", {"squares": [0] * 9}, "characters: sums are not those of 25"),
        ("characters", {"cubes": [(1 << 64) - 1] * 9}, "characters: sums are not those of 25"),
        ("vocabulary", {"texts": 0}, "vocabulary: 256 totals and 256 squares of 0 texts"),
        ("vocabulary", {"texts": 1 << 41}, "vocabulary: 256 totals"),
        ("vocabulary", {"totals": [1]}, "vocabulary: 1 totals"),
        ("vocabulary", {"squares": [1] * 1_000}, "vocabulary: 256 totals and 1000 squares"),
        ("vocabulary", {"totals": [(1 << 64) - 1] * 256}, "vocabulary: sums are not those of 15 levels and"),
        ("vocabulary", {"squares": [0] * 256}, "vocabulary: sums are not those of 15"),
        ("vocabulary", {"pairs": 1 << 63}, "vocabulary: 9223372036854775808 pairs"),
        ("vocabulary", {"pairs": 0}, "vocabulary: 0 pairs with a product of"),
        ("vocabulary", {"pair_products": -(1 << 63)}, "vocabulary: .* pairs with a product of -9223372036854775808"),
    ],
)
def test_sums_that_contradict_themselves_are_refused(field, change, complaint):
    """Whoever sent them."""
    _, message = message_of(TEXTS)
    part = getattr(message, field)
    for name, value in change.items():
        part.ClearField(name)
        if isinstance(value, list):
            getattr(part, name).extend(value)
        else:
            setattr(part, name, value)

    with pytest.raises(CorruptSnapshotError, match=complaint):
        _ = read_characters(message.characters, 25), read_vocabulary(message.vocabulary)


@given(
    st.builds(
        pb.TextVocabulary,
        texts=st.integers(0, 50),
        totals=st.lists(st.integers(0, 70), min_size=250, max_size=256),
        squares=st.lists(st.integers(0, 4_000), min_size=256, max_size=256),
        pairs=st.integers(0, (1 << 64) - 1),
        pair_products=st.integers(-(1 << 63), (1 << 63) - 1),
    )
)
def test_any_sums_are_read_or_refused(message):
    """Nothing else happens."""
    with contextlib.suppress(CorruptSnapshotError):
        assert read_vocabulary(message).texts == message.texts
