"""What is wrong with a processor on this machine."""

import pytest

from otel_ml.cli.doctor.checks import configuration, store
from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Verdict

VALID = """
receivers: {otlp: {}}
exporters: {otlp_grpc: {endpoint: "http://backend.example:4317"}}
store: {directory: "DIRECTORY", log: {max_size_mib: BUDGET}}
service: {pipelines: {logs: {receivers: [otlp], exporters: [otlp_grpc]}}}
"""


def examine(check, path):
    """What one check finds of a configuration."""
    return list(check.CHECK.examine(Examined({}, config=path)))


def written(tmp_path, directory, budget=4):
    path = tmp_path / "processor.yaml"
    path.write_text(VALID.replace("DIRECTORY", str(directory)).replace("BUDGET", str(budget)))
    return path


def test_a_configuration_with_problems_is_told_with_lines(tmp_path):
    """Each of them."""
    path = written(tmp_path, tmp_path)
    path.write_text(path.read_text().replace("otlp: {}", "oltp: {}").replace("endpoint:", "endpont:"))
    found = examine(configuration, path)

    assert {one.verdict for one in found} == {Verdict.PROBLEM}
    assert any(one.what.startswith(f"{path}:2: receivers::oltp") for one in found)
    assert any("did you mean 'endpoint'" in one.what for one in found)


@pytest.mark.parametrize("content", [None, "", "[1, 2]", "a: [", "\x00"])
def test_a_file_that_is_no_configuration_is_told(tmp_path, content):
    """Missing, empty, or something else."""
    path = tmp_path / "processor.yaml"
    if content is not None:
        path.write_text(content)
    found = examine(configuration, path)

    assert {one.verdict for one in found} == {Verdict.PROBLEM}
    assert [one.verdict for one in examine(store, path)] == [Verdict.UNKNOWN]


def test_a_valid_one_is_fine(tmp_path):
    """And its store, which is not there yet, can be made; what is not given cannot be judged."""
    path = written(tmp_path, tmp_path / "store" / "deeper")

    assert [one.verdict for one in examine(configuration, path)] == [Verdict.OK]
    assert [one.verdict for one in examine(store, path)] == [Verdict.OK]
    assert not (tmp_path / "store").exists()
    assert [one.verdict for one in examine(configuration, None)] == [Verdict.UNKNOWN]


def test_a_store_that_cannot_be_written_is_told(tmp_path):
    """A file in its place cannot be written into, not even by root."""
    (tmp_path / "file").touch()
    (found,) = examine(store, written(tmp_path, tmp_path / "file"))

    assert found.verdict is Verdict.PROBLEM
    assert "Not a directory" in found.what


def test_a_disk_without_room_for_the_budget_is_told(tmp_path):
    """No disk has so many terabytes."""
    (found,) = examine(store, written(tmp_path, tmp_path / "store", budget=10**11))

    assert found.verdict is Verdict.PROBLEM
    assert "lower store::log::max_size_mib" in found.fix


def test_a_store_in_memory_needs_no_disk(tmp_path):
    """What that means is said."""
    path = written(tmp_path, "")
    path.write_text(path.read_text().replace('directory: "", ', ""))
    (found,) = examine(store, path)

    assert found.verdict is Verdict.OK
    assert "in memory" in found.what


def test_a_file_in_the_place_of_the_store_is_not_to_be_made_a_directory(tmp_path):
    """That cannot be done: the advice is one that can be followed."""
    (tmp_path / "file").write_text("")

    (found,) = examine(store, written(tmp_path, tmp_path / "file"))

    assert found.verdict is Verdict.PROBLEM
    assert "install -d" not in found.fix
    assert "name another place" in found.fix
