"""The index of the documentation is complete, and the page that compares says nothing that was not measured."""

import re
from importlib.metadata import version
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def links(page):
    """Files that a page links to, resolved."""
    found = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    return {(page.parent / link).resolve() for link in found if not link.startswith("http")}


def test_every_document_is_in_the_index():
    """Whoever adds a page adds its line; runbooks stand together in their folder."""
    pages = {page for page in DOCS.rglob("*.md") if page.parent.name != "runbooks"}

    assert pages - {DOCS / "README.md"} - links(DOCS / "README.md") == set()


def test_the_index_fits_a_screen():
    """Somebody who looks for a page sees all of them at once."""
    assert len((DOCS / "README.md").read_text(encoding="utf-8").splitlines()) <= 45


def test_figures_about_other_libraries_are_those_of_the_benchmarks():
    """A share, a duration or a factor on the page stands in one of the pages that say how it was measured."""
    page = (DOCS / "comparison.md").read_text(encoding="utf-8")
    measured = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "detection.md", DOCS / "performance.md"))
    figures = set(re.findall(r"\b(\d+(?:\.\d+)?) (?:%|µs)", page)) - {"100"}
    # Said in words there, or nominal rates.
    given = {"5", "0.3"}

    assert len(figures) > 8
    assert figures - given - set(re.findall(r"\d+(?:\.\d+)?", measured)) == set()


def test_the_version_that_is_compared_is_this_one():
    """Whoever releases looks at the comparison again."""
    words = " ".join((DOCS / "comparison.md").read_text(encoding="utf-8").split())

    assert f"at version {version('otel-ml')}" in words
