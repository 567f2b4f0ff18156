import os

import click
import pytest

from otel_ml.cli.files import put, refuse_to_replace


def test_a_text_is_there_whole_or_not_at_all(tmp_path):
    """What cannot be written leaves the former file, and nothing beside it."""
    target = tmp_path / "page.html"
    target.write_text("former")

    with pytest.raises(UnicodeEncodeError):
        put(target, "long enough to be written in pieces " * 10_000 + "\udcff")

    assert target.read_text() == "former"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_replaced_keeps_its_mode(tmp_path):
    """Somebody chose who may read it."""
    target = tmp_path / "rules.yml"
    target.write_text("former")
    target.chmod(0o640)

    put(target, "new")

    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_link_stays_one(tmp_path):
    """The file that it leads to is written."""
    (tmp_path / "here").mkdir()
    target, link = tmp_path / "here" / "page.html", tmp_path / "latest.html"
    link.symlink_to(target)

    put(link, "new")

    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    """As `/dev/stdout` is: nothing takes its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    put(pipe, "new")

    assert os.read(reader, 10) == b"new"
    assert pipe.is_fifo()
    os.close(reader)


def test_what_is_read_is_not_written_over(tmp_path):
    """Nor by another name of the same file; a file of its own is fine."""
    data, link = tmp_path / "train.csv", tmp_path / "link.csv"
    data.write_text("a")
    link.symlink_to(data)

    refuse_to_replace("--output", tmp_path / "new", data)
    with pytest.raises(click.UsageError, match=r"--output: .* is what is read"):
        refuse_to_replace("--output", link, data)
