"""The pages of docs/reference say what the code says."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt
from pydantic import BaseModel

from collector_processor.config import EXPORTERS, PROCESSORS, RECEIVERS, ServiceSettings
from collector_processor.store.settings import StoreSettings
from otel_ml import environment_variables, registry, semconv
from otel_ml.cli.commands import otel_ml
from otel_ml.prometheus_names import metric_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
COMMAND = "python docs/reference/generate.py"
PAGES = ("telemetry.md", "configuration.md", "command-line.md", "environment.md")
HOSTILE = (
    "a|b",
    "`",
    "``",
    "<script>alert(1)</script>",
    "*b* _i_ ~s~ [x](y)",
    "\\|",
    "$x$ & co",
    " a\nb ",
    "🦊|`",
    "&lt;",
)


@pytest.fixture
def markdown(monkeypatch):
    """The module that writes Markdown."""
    monkeypatch.syspath_prepend(str(FOLDER))
    from reference_pages import markdown

    return markdown


def page(name):
    """The text of a page as it is committed."""
    return (FOLDER / name).read_text(encoding="utf-8")


def cells(rendered):
    """The texts of the cells of all tables, as somebody reads them."""
    found = []
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(rendered)
    for before, token in pairwise(tokens):
        if before.type == "td_open":
            assert not {child.type for child in token.children} & {"em_open", "strong_open", "s_open", "link_open"}
            parts = [child.content for child in token.children if child.type in ("text", "code_inline")]
            found.append("".join(parts))
    return found


def test_the_pages_are_what_the_code_says():
    """Who changes a name, a setting, a command or a variable writes the pages anew, and commits them."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / "generate.py"), "--check"], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun: {COMMAND}"


def test_the_check_finds_what_is_stale(tmp_path):
    """A page that somebody edited by hand, and one that is not there, are told with the command that writes them."""
    copy = tmp_path / "docs" / "reference"
    copy.mkdir(parents=True)
    (copy / "generate.py").write_text((FOLDER / "generate.py").read_text(encoding="utf-8"), encoding="utf-8")
    (copy / "reference_pages").symlink_to(FOLDER / "reference_pages")
    for name in PAGES[1:]:
        (copy / name).write_text(page(name), encoding="utf-8")
    (copy / "environment.md").write_text("by hand", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, str(copy / "generate.py"), "--check"], capture_output=True, text=True, timeout=120, cwd=ROOT
    )

    stale = ("telemetry.md", "environment.md")
    assert done.returncode == 1
    assert done.stdout == "".join(f"docs/reference/{name} is not what the code says: {COMMAND}\n" for name in stale)


def test_another_argument_is_refused():
    """A misspelt --check must not write anything."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / "generate.py"), "--chekc"], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 2
    assert "'--chekc'" in done.stderr


def test_every_metric_is_there():
    """Every metric of semconv.py and of the registry has a row, with its unit and its name in Prometheus."""
    metrics = [value for value in vars(semconv).values() if isinstance(value, semconv.Metric)]
    metrics += [signal.metric for signal in registry.METRICS]
    telemetry = page("telemetry.md")

    missing = [
        metric.name
        for metric in metrics
        if not re.search(
            rf"^\| <a id=[^>]*></a>`{re.escape(metric.name)}` \| `{metric_name(metric)}` \| [a-z -]+ \|"
            rf" `{re.escape(metric.unit)}` \| \S",
            telemetry,
            re.MULTILINE,
        )
    ]

    assert len(metrics) > 50
    assert missing == []


def test_every_attribute_span_and_event_is_there():
    """What the registry tells weaver, the page tells people."""
    telemetry = page("telemetry.md")

    for signal in (*registry.SPANS, *registry.EVENTS):
        assert f"`{signal.id}`\n" in telemetry
    for attribute in registry.ATTRIBUTES:
        assert f"</a>`{attribute.name}` | `{attribute.type}` |" in telemetry


def test_every_setting_is_there_and_says_what_it_means():
    """Whoever adds a setting to a model finds it on the page, and a setting without a meaning in this test."""
    configuration = page("configuration.md")
    models = {*RECEIVERS.values(), *PROCESSORS.values(), *EXPORTERS.values(), StoreSettings, ServiceSettings}

    names = {name for model in models for name in settings_of(model)}

    assert [name for name in sorted(names) if f"`{name}` | " not in configuration] == []
    assert [row for row in configuration.splitlines() if re.match(r"^\|.*\| *\|$", row)] == []


def settings_of(model):
    """The names of a model's settings, and of all in it."""
    for name, setting in model.model_fields.items():
        yield name
        for inner in (setting.annotation, *getattr(setting.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from settings_of(inner)


def test_every_command_and_option_is_there():
    """What `--help` lists, the page lists."""
    text = page("command-line.md")

    for path, command in commands(click.Context(otel_ml, info_name="otel-ml")):
        section = re.search(rf"^##+ {path}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, path
        for option in command.params:
            if isinstance(option, click.Option):
                assert all(f"`{name}`" in section[1] for name in (*option.opts, *option.secondary_opts)), path


def commands(context):
    """All commands with what one types to get there."""
    yield context.command_path, context.command
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            yield from commands(click.Context(command, info_name=name, parent=context))


def test_examples_of_commands_stay_on_their_lines():
    """click keeps lines below its mark as they are; a mark that reached the page was none."""
    text = page("command-line.md")

    assert "\b" not in text
    assert "\\b" not in text.replace("\\build", "")


def test_every_variable_is_there_with_the_default_that_its_docstring_names(markdown, monkeypatch):
    """The default of a variable stands in three places: all of them say the same."""
    from reference_pages.docstrings import said_of_constants

    row = re.compile(r"^\| <a id=[^>]*></a>`(OTEL_PYTHON_ML_\w+)` \| ([^|]*)\|", re.MULTILINE)
    rows = dict(row.findall(page("environment.md")))
    said = said_of_constants(environment_variables)

    assert sorted(rows) == sorted(name for name in vars(environment_variables) if name.startswith("OTEL_"))
    for name, default in rows.items():
        told = re.search(r"\sDefault: (\S+)$", said[name])
        is_none = told is None or told[1] == "all"
        assert default.strip() == ("" if is_none else f"`{told[1]}`"), name


@pytest.mark.parametrize("name", PAGES)
def test_anchors_lead_to_one_place(name):
    """Of two anchors with one name, no link would reach the second."""
    anchors = re.findall(r'<a id="([^"]+)"', page(name))

    assert anchors
    assert sorted(anchors) == sorted(set(anchors))


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_tables(name):
    """A stray pipe would cut a cell in two: every row has as many cells as its head."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page(name))
    rows = [line for line in page(name).splitlines() if line.startswith("|")]

    parsed = sum(token.type == "tr_open" for token in tokens) + sum(token.type == "table_open" for token in tokens)

    assert len(rows) == parsed
    for head, line, row in zip(rows, rows[1:], rows[2:], strict=False):
        if line.startswith("|---"):
            assert head.count(" | ") == row.count(" | ") + row.count(" | | ")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stands_for_itself(markdown, text):
    """Whatever a name or a docstring holds, the cell shows it and is no markup."""
    table = "\n".join(markdown.table(("a", "b"), [(markdown.literal(text), markdown.code(text))]))

    assert cells(table) == [" ".join(text.split())] * 2


def test_docstrings_become_prose_with_code(markdown):
    """`code` and quoted words are code; a lone backtick is a backtick, and a sentence ends."""
    assert markdown.sentence('`a|b` or "none": <x>') == "<code>a&#124;b</code> or `none`: &lt;x&gt;."
    assert markdown.prose("5` wide") == "5\\` wide"
    assert markdown.sentence("") == ""
