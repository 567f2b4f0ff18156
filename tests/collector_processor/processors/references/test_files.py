"""Baselines in files that change."""

import os

import pytest

from collector_processor.processors.references.files import BaselineFiles
from otel_ml.baseline import Baseline


def saved(path, *, model="fraud", version="3", values=(1.0, 2.0, 3.0), written=None):
    baseline = Baseline.build({"amount": list(values)}, model=model, version=version)
    baseline.save(path)
    if written is not None:
        os.utime(path, (written, written))
    return baseline


def test_files_and_folders_are_read(tmp_path):
    """Of a folder, everything that is called a baseline, and nothing that is being written."""
    (tmp_path / "folder").mkdir()
    named = saved(tmp_path / "named.bin", version="1")
    inside = saved(tmp_path / "folder" / "a.baseline", version="2")
    saved(tmp_path / "folder" / ".b.baseline", version="9")
    (tmp_path / "folder" / "readme.txt").write_text("none")
    files = BaselineFiles([str(tmp_path / "named.bin"), str(tmp_path / "folder")])

    assert files.look()
    assert set(files.baselines) == {named, inside}
    assert not files.look()


def test_what_changes_comes_or_goes_is_noticed(tmp_path):
    """The next time somebody looks."""
    files = BaselineFiles([str(tmp_path)])
    saved(tmp_path / "a.baseline")
    files.look()

    changed = saved(tmp_path / "a.baseline", values=[4.0, 5.0])
    assert files.look()
    assert files.baselines == [changed]

    added = saved(tmp_path / "b.baseline", version="4")
    assert files.look()
    assert set(files.baselines) == {changed, added}

    (tmp_path / "a.baseline").unlink()
    assert files.look()
    assert files.baselines == [added]


def test_of_two_files_of_one_model_the_later_counts(tmp_path):
    """Whatever they are called."""
    later = saved(tmp_path / "a.baseline", values=[1.0, 2.0], written=2_000)
    saved(tmp_path / "b.baseline", written=1_000)
    files = BaselineFiles([str(tmp_path)])

    files.look()

    assert files.baselines == [later]


def test_a_file_that_breaks_leaves_what_was_in_it(tmp_path):
    """And says what is wrong with it; a file that is named and gone likewise."""
    path = tmp_path / "a.baseline"
    before = saved(path)
    files = BaselineFiles([str(path)])
    files.look()

    path.write_bytes(b"half a fi")
    files.look()
    assert files.baselines == [before]
    assert "is no baseline file" in files.found[path].problem

    path.unlink()
    files.look()
    assert [one.baseline for one in files.found.values()] == [before]
    assert "No such file" in files.found[path].problem


def test_what_is_sent_is_in_the_inbox(tmp_path):
    """Under the name of its model, in the place of the one before."""
    source = tmp_path / "source"
    first, second = saved(source), None
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    files = BaselineFiles([], str(inbox))

    assert files.keep([source.read_bytes()]) == ([first], [])
    second = saved(source, values=[7.0, 8.0, 9.0])
    files.keep([source.read_bytes()])
    files.look()

    assert [path.name for path in inbox.iterdir()] == ["fraud@3.baseline"]
    assert files.baselines == [second]


@pytest.mark.parametrize("content", [b"", b"\x89OTML\r\n\n", b"anything"])
def test_what_is_no_baseline_never_reaches_the_inbox(tmp_path, content):
    """Nor does anything where there is no inbox."""
    broken = BaselineFiles([], str(tmp_path)).keep([content])
    closed = BaselineFiles([str(tmp_path)]).keep([content, content])

    assert [*tmp_path.iterdir()] == []
    assert (broken.baselines, len(broken.problems)) == ([], 1)
    assert broken.problems[0].startswith("the baseline that was sent")
    assert len(closed.problems) == 2
    assert all("accept_baselines names a folder" in problem for problem in closed.problems)


@pytest.mark.parametrize("name", [".fraud", "..", "."])
def test_a_model_may_begin_with_a_dot(tmp_path, name):
    """Files that do are being written, and nobody reads them: what was acknowledged would never be used."""
    source = tmp_path / "source"
    Baseline.build({"amount": [1.0]}, model=name, version="").save(source)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    files = BaselineFiles([], str(inbox))
    files.keep([source.read_bytes()])
    files.look()

    assert [baseline.model.name for baseline in files.baselines] == [name]


def test_what_was_half_written_is_never_read_and_goes_in_time(tmp_path):
    """A process that is killed leaves it behind; of others it may be that they are writing it now."""
    source = tmp_path / "source"
    saved(source)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    files = BaselineFiles([], str(inbox))
    files.keep([source.read_bytes()])
    old, new = inbox / ".fraud@3.baseline.abcdefgh.tmp", inbox / ".fraud@4.baseline.abcdefgh.tmp"
    for half in (old, new):
        half.write_bytes(source.read_bytes())
    os.utime(old, (0, 0))
    files.tidy()
    files.look()

    assert {path.name for path in inbox.iterdir()} == {"fraud@3.baseline", new.name}
    assert len(files.found) == 1
