from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.text import bounded


@given(text=st.text(max_size=40), length=st.integers(1, 40))
def test_text_becomes_encodable_and_short_enough(text, length):
    """Whatever a user's data holds, UTF-8 can carry what is kept of it."""
    kept = bounded(text, length)

    kept.encode()
    assert len(kept) <= length


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_ordinary_text_stays_as_it_is(text):
    """Only what must be altered is."""
    assert bounded(text, 40) == text


def test_lone_surrogates_are_escaped():
    """They are legal in JSON and in Python strings, and in no protobuf."""
    assert bounded("a\udc80", 10) == "a\\udc80"
