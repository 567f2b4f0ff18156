from html import unescape
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drawing.markup import escaped, shortened


@given(st.text())
def test_escaped_text_is_one_text(text):
    """Between tags and in attributes, whatever it holds."""
    root = ET.fromstring(f'<a b="{escaped(text)}">{escaped(text)}</a>')

    assert len(root) == 0
    assert list(root.attrib) == ["b"]


def test_harmless_text_stays_what_it_is():
    """Every script can be read."""
    for text in ("amount", "naïve café", "日本語", "🦥", "a < b & c"):
        assert unescape(escaped(text)) == text


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\ud800", "\ufffe", "\u202e", "\u2066"])
def test_what_markup_cannot_hold_is_replaced(character):
    """Control characters, halves of characters, and what turns the text around them."""
    assert escaped(f"a{character}b") == "a\ufffdb"


def test_long_text_is_shortened():
    """On one line, with an ellipsis."""
    assert shortened("a  longer\nname", 40) == "a longer name"
    assert shortened("a longer name", 9) == "a longer…"
    assert len(shortened("x" * 100, 14)) == 14


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\x7f", "\x00", "\u202e"])
def test_short_text_commands_no_terminal(character):
    """It is printed as well as drawn."""
    assert shortened(f"a{character}[31mb", 40) == "a\ufffd[31mb"
