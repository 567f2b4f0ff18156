"""YAML that is read back as what it was."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.backends.yaml_text import yaml_text

TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "",
        "on",
        "No",
        "null",
        "1e3",
        "0x1",
        "-",
        "a: b",
        '{{ "x" }}',
        'sum{a="b"}\nor b',
        ' "x"\n',
        "a\n\n'",
        "#",
        "2026-01-01",
    ]
)
SCALARS = TEXTS | st.integers(-(10**9), 10**9) | st.booleans()
DOCUMENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        SCALARS | st.lists(SCALARS, max_size=3),
        lambda inner: (
            st.dictionaries(TEXTS, inner, max_size=3)
            | st.lists(st.dictionaries(TEXTS, inner, min_size=1, max_size=3), max_size=3)
        ),
        max_leaves=8,
    ),
    min_size=1,
    max_size=4,
)


@given(document=DOCUMENTS)
def test_everything_comes_back(document):
    """Whatever a text holds: words that YAML reads otherwise, quotes, control characters, several lines."""
    assert yaml.safe_load(yaml_text(document)) == document


def test_a_query_stands_there_as_it_is():
    """Nobody should have to read PromQL through backslashes."""
    text = yaml_text({"expr": 'up{job="a"}\nor\nup{job="b"}'}, "Above it.\nTwo lines.")

    assert text == '# Above it.\n# Two lines.\nexpr: |-\n  up{job="a"}\n  or\n  up{job="b"}\n'


@pytest.mark.parametrize("word", ["yes", "Off", "null", "TRUE", "n"])
def test_words_that_yaml_knows_are_quoted(word):
    """A country called NO is no truth value."""
    assert yaml.safe_load(yaml_text({"word": word})) == {"word": word}
