import re

from otel_ml.drawing.pages import badge, block, document, table, tiles


def test_a_page_loads_nothing():
    """Its policy forbids it, and nothing on it would."""
    page = document("<b>title</b>", ["<p>text</p>"])

    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=|url\(|@import|<script|<link", page)
    assert "<title>&lt;b&gt;title&lt;/b&gt;</title>" in page
    assert page.count("<main") == page.count("</main>") == 1


def test_a_block_brings_its_rules_along():
    """A notebook has none of ours."""
    shown = block(["<p>text</p>"])

    assert shown.startswith('<div class="ml-report"><style>')
    assert "--ml-current" in shown
    assert "<p>text</p>" in shown


def test_figures_and_badges_are_escaped():
    """They may be names."""
    assert "&lt;i&gt;" in tiles([("<i>", "columns", "bad")])
    assert 'class="ml-bad"' in tiles([("1", "columns", "bad")])
    assert badge("<i>") == '<span class="ml-badge">&lt;i&gt;</span>'


def test_a_table_has_headings_for_rows_and_columns():
    """So that a screen reader tells which cell is of what."""
    shown = table(("name", "score"), [("a", "1"), ("b", '<td class="x">2</td>')], right=frozenset(("score",)))

    assert shown.count('scope="col"') == 2
    assert shown.count('scope="row"') == 2
    assert '<td class="ml-number">1</td>' in shown
    assert '<td class="x">2</td>' in shown
