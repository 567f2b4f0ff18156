"""Links within the documentation lead somewhere."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {
        ROOT / "README.md",
        ROOT / "otel_ml" / "proto" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
    }
)
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ANCHOR = re.compile(r"""<a\s[^>]*?\b(?:id|name)\s*=\s*["']([^"']+)["']""")
_HTML_LINK = re.compile(r"""<(?:a|img)\s[^>]*?\b(?:href|src)\s*=\s*["']([^"']+)["']""")


def links(text):
    """Where the links and pictures of a page lead, those in HTML included; not those in code."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "html_block":
            yield from _HTML_LINK.findall(token.content)
        for child in token.children or ():
            if child.type in ("link_open", "image"):
                yield child.attrs["href" if child.type == "link_open" else "src"]
            elif child.type == "html_inline":
                yield from _HTML_LINK.findall(child.content)


def anchors(text):
    """What a link to a page may name behind "#", as GitHub makes it of headings, and anchors in HTML."""
    found = set()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for position, token in enumerate(tokens):
        if token.type in ("html_block", "inline"):
            found |= set(_ANCHOR.findall(token.content))
        if token.type == "heading_open":
            children = tokens[position + 1].children or []
            heading = "".join(child.content for child in children if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
            # The second heading of a name gets a number.
            numbered = (slug if not count else f"{slug}-{count}" for count in range(len(tokens)))
            found.add(next(name for name in numbered if name not in found))
    return found


@cache
def anchors_of(path):
    """The anchors of a file."""
    return anchors(path.read_text(encoding="utf-8"))


def broken(page, root=ROOT):
    """The links of a page that lead nowhere, each with the reason."""
    for link in links(page.read_text(encoding="utf-8")):
        if _SCHEME.match(link) or link.startswith("//"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(root):
            yield f"{link}: outside of the repository"
        elif not target.exists():
            yield f"{link}: no such file"
        elif anchor and target.suffix == ".md" and anchor not in anchors_of(target):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    """Every file that a page links to is there, and every heading."""
    assert list(broken(page)) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a](nowhere.md)", "nowhere.md: no such file"),
        ("![a](nowhere.svg)", "nowhere.svg: no such file"),
        ('<img src="nowhere.png">', "nowhere.png: no such file"),
        ("# One\n[a](#two)", "#two: no such heading"),
        ("[a](there.md#nothing)", "there.md#nothing: no such heading"),
        ("| a |\n|---|\n| [b](nowhere.md) |", "nowhere.md: no such file"),
        ("[a][b]\n\n[b]: nowhere.md", "nowhere.md: no such file"),
        ("[a](../../outside.md)", "../../outside.md: outside of the repository"),
    ],
)
def test_what_leads_nowhere_is_found(tmp_path, text, problem):
    """The check above can fail: files, pictures, headings, tables, references."""
    (tmp_path / "there.md").write_text("# Something else\n", encoding="utf-8")
    (tmp_path / "page.md").write_text(text, encoding="utf-8")

    found = list(broken(tmp_path / "page.md", tmp_path))

    assert found == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "# What it *is*: `a_b` & c\n[a](#what-it-is-a_b--c)",
        "# One\n# One\n[a](#one-1)",
        '## <a id="x-y"></a>Title\n[a](#x-y) [b](#title)',
        "[a](there.md#something-else) [b](there.md) [c](.)",
        "[a](https://example.invalid/x) [b](mailto:a@example.invalid)",
        "```\n[a](nowhere.md)\n```\n`[b](nowhere.md)`",
    ],
)
def test_what_leads_somewhere_is_left_alone(tmp_path, text):
    """Headings have the names that GitHub gives them, and code holds no links."""
    (tmp_path / "there.md").write_text("# Something else\n", encoding="utf-8")
    (tmp_path / "page.md").write_text(text, encoding="utf-8")

    found = list(broken(tmp_path / "page.md", tmp_path))

    assert found == []
