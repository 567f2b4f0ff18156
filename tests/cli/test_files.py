import click
import pytest

from otel_ml.cli.files import refuse_to_replace


def test_what_is_read_is_not_written_over(tmp_path):
    """Nor by another name of the same file; a file of its own is fine."""
    data, link = tmp_path / "train.csv", tmp_path / "link.csv"
    data.write_text("a")
    link.symlink_to(data)

    refuse_to_replace("--output", tmp_path / "new", data)
    with pytest.raises(click.UsageError, match=r"--output: .* is what is read"):
        refuse_to_replace("--output", link, data)
