import os

import pytest

from otel_ml.whole_file import put


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


def test_what_is_there_can_be_left_alone(tmp_path):
    """Whoever asks for that is told, and finds nothing beside it."""
    target = tmp_path / "processor.yaml"
    target.write_text("former")

    with pytest.raises(FileExistsError):
        put(target, "new", replace=False)

    assert target.read_text() == "former"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_not_there_is_written_where_nothing_may_be_replaced(tmp_path):
    """Whole, and with the mode of any new file."""
    target, plain = tmp_path / "processor.yaml", tmp_path / "plain"
    plain.write_text("new")

    put(target, "new", replace=False)

    assert (target.read_text(), target.stat().st_mode) == ("new", plain.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [plain, target]


@pytest.mark.parametrize("replace", [True, False])
def test_a_folder_is_no_file(tmp_path, replace):
    """Whether files may be replaced or not."""
    with pytest.raises(IsADirectoryError):
        put(tmp_path, "new", replace=replace)
