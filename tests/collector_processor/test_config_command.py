"""The command: what it says of files, for people and for machines, and what it writes."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from collector_processor import config
from otel_ml.baseline.build import build_baseline
from otel_ml.cli.commands import otel_ml
from otel_ml.sketch.feature import ModelKey

EXAMPLE = Path(__file__).parents[2] / "deploy" / "processor.yaml"
VALID = """\
receivers: {otlp: {}}
exporters:
  otlp_grpc:
    endpoint: "http://backend.example:4317"
    headers: {api-key: "${env:BACKEND_KEY}", other: plain-secret}
service:
  pipelines: {logs: {receivers: [otlp], exporters: [otlp_grpc]}}
"""


def run(*arguments, **environment):
    done = CliRunner().invoke(otel_ml, ["config", *map(str, arguments)], env={"BACKEND_KEY": "hunter2", **environment})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "processor.yaml"
    path.write_text(VALID)
    return path


@pytest.fixture
def wine(tmp_path):
    path = tmp_path / "it's ${wine} \u2603.baseline"
    build_baseline({"alcohol": np.arange(100.0)}, model=ModelKey("wine", "1")).save(path)
    return path


def test_a_valid_file_is_told_to_be_so(file):
    """On stdout, with 0."""
    done = run("check", file)

    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{file}: valid\n", "")


def test_every_problem_is_told_at_its_line(file):
    """In the order of the file, as editors and terminals understand places."""
    broken = VALID.replace("endpoint:", "endpont:").replace("[otlp_grpc]", "[otlp_grcp]").replace("otlp: {}", "otlp: 5")
    file.write_text(broken)
    done = run("check", file)

    lines = done.stderr.splitlines()
    places = [int(line.removeprefix(f"{file}:").partition(":")[0]) for line in lines]
    assert (done.exit_code, done.stdout) == (2, "")
    assert places == sorted(places)
    assert f"{file}:4: exporters::otlp_grpc::endpont: unknown setting" in done.stderr
    assert "did you mean 'otlp_grpc'?" in done.stderr


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("a: [\n", 2, ""),
        ("a: 1\na: 2\n", 2, "stands there twice"),
        ("[1]", None, "holds no mapping"),
        ("", None, "holds no mapping"),
        ("service:\n  pipelines: {logs: {receivers: [otlp], exporters: ['${env:NOT_SET}']}}\n", 2, "NOT_SET"),
        (VALID + "store:\n  log: {max_size_mib: many}\n", 9, "'many' is not valid (a whole number)"),
        (VALID + "<script>: 1\n", 8, "<script>: unknown setting"),
        (
            VALID.replace("exporters: [otlp_grpc]", "processors: [drift], exporters: [otlp_grpc]")
            + "processors:\n  drift:\n    detectors: {psi: {bins: -1}}\n",
            10,
            "processors::drift::detectors::psi",
        ),
    ],
)
def test_a_problem_is_located_for_machines(file, content, line, words):
    """What is wrong with the file as a whole has no line."""
    file.write_text(content)
    done = run("check", file, "--json")

    said = json.loads(done.stdout)
    assert (done.exit_code, said["valid"], done.stderr) == (2, False, "")
    assert any(one["line"] == line and words in one["text"] for one in said["problems"]), said["problems"]


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_told_once(tmp_path, monkeypatch, name):
    """By its name."""
    monkeypatch.chdir(tmp_path)
    done = run("check", name)

    assert done.exit_code == 2
    assert done.stderr.startswith(f"{name}: cannot be read: ")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a file that is closed to us")
def test_a_file_that_is_closed_to_us_is_a_problem_like_others(file):
    """For machines as well, in the shape of all problems."""
    file.chmod(0)
    done = run("check", file, "--json")

    assert done.exit_code == 2
    assert "cannot be read: Permission denied" in json.loads(done.stdout)["problems"][0]["text"]


def test_bytes_that_are_no_text_are_told(file):
    """Rather than shown."""
    file.write_bytes(b"\xff\xfe\x00")

    assert "is not UTF-8 text" in run("check", file).stderr


def test_the_effective_configuration_tells_where_each_value_comes_from(file):
    """The file, a variable, or a default."""
    file.write_text(VALID.replace("otlp: {}", 'otlp: {protocols: {grpc: {endpoint: "${env:LISTEN:-127.0.0.1:1}"}}}'))
    said = json.loads(run("check", file, "--json", "--effective").stdout)
    other = json.loads(run("check", file, "--json", "--effective", LISTEN="127.0.0.1:2").stdout)

    where = "receivers::otlp::protocols::grpc::endpoint"
    assert said["sources"]["exporters::otlp_grpc::endpoint"] == f"{file}:4"
    assert said["sources"]["exporters::otlp_grpc::timeout"] == "default"
    assert said["effective"]["exporters"]["otlp_grpc"]["timeout"] == "10s"
    assert said["sources"][where] == f"{file}:1, LISTEN is not set"
    assert other["sources"][where] == f"environment variable LISTEN, {file}:1"
    assert other["effective"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == "127.0.0.1:2"


def test_secrets_are_not_shown(file):
    """A variable stays one, what is written out is hidden."""
    text, machine = run("check", file, "--effective").stdout, run("check", file, "--effective", "--json").stdout

    for output in (text, machine):
        assert "hunter2" not in output
        assert "plain-secret" not in output
        assert "${env:BACKEND_KEY}" in output


@pytest.mark.parametrize("content", [None, VALID.replace(", other: plain-secret", "")])
def test_what_is_effective_is_a_configuration_that_says_the_same(tmp_path, file, content):
    """Written into a file, it has the same effect; deploy/processor.yaml too."""
    file.write_text(content or EXAMPLE.read_text())
    again = tmp_path / "again.yaml"
    again.write_text(run("check", file, "--effective").stdout)

    first, second = (json.loads(run("check", path, "--effective", "--json").stdout) for path in (file, again))
    assert second["valid"], second["problems"]
    assert first["effective"] == second["effective"]
    assert "default" not in set(second["sources"].values())


def test_the_schema_is_json():
    """For an editor to read."""
    done = run("schema")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_configuration_is_begun_that_is_valid(tmp_path, wine):
    """Whatever names files have; the processor would start with it."""
    output, store = tmp_path / "new.yaml", tmp_path / 'a "quoted" <directory>'
    done = run("init", "-o", output, "--baseline", wine, "--endpoint", "https://b.example:4317", "--directory", store)
    found = config.load(output, {})

    assert done.exit_code == 0, done.output
    assert [baseline.model.name for baseline in found.baselines] == ["wine"]
    assert found.store.path == store
    assert str(found.exporters["otlp_grpc"].endpoint.address) == "b.example:4317"
    assert "otel-ml processor --config" in done.stdout


@pytest.mark.parametrize(
    ("endpoint", "exporter"),
    [
        ("http://b.example:4318", "otlp_http"),
        ("https://b.example/otlp", "otlp_http"),
        ("http://b.example:4317", "otlp_grpc"),
        ("http://[::2]:4317", "otlp_grpc"),
        (None, "otlp_grpc"),
    ],
)
def test_the_endpoint_decides_about_the_exporter(endpoint, exporter):
    """And all of it may go to stdout."""
    done = run("init", "-o", "-", *(("--endpoint", endpoint) if endpoint else ()))

    assert list(yaml.safe_load(done.stdout)["exporters"]) == [exporter]


def test_a_file_that_is_there_is_not_overwritten(file):
    """Unless it is said."""
    refused = run("init", "-o", file)
    before = file.read_text()
    forced = run("init", "-o", file, "--force")

    assert (refused.exit_code, before) == (2, VALID)
    assert "--force overwrites it" in refused.stderr
    assert forced.exit_code == 0
    assert file.read_text() != VALID


def test_a_folder_is_no_file_that_force_could_overwrite(tmp_path):
    """With --force or without."""
    for force in ([], ["--force"]):
        done = run("init", "-o", tmp_path, *force)

        assert done.exit_code == 2
        assert f"{str(tmp_path)!r}: Is a directory" in done.stderr
        assert "overwrites" not in done.stderr


def test_a_configuration_is_begun_without_a_temporary_folder(tmp_path, monkeypatch):
    """It is checked before it is anywhere."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    output = tmp_path / "new.yaml"

    done = run("init", "-o", output)

    assert (done.exit_code, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--endpoint", "b.example:4317"], "lacks a scheme"),
        (["--endpoint", "http://localhost:4317"], "where the processor itself receives"),
        (["--endpoint", "http://b.example:4317\nx"], "is not an endpoint"),
        (["--endpoint", ""], "is not an endpoint"),
        (["--baseline", "missing.baseline"], "missing.baseline: No such file"),
        (["-o", str(Path("missing", "directory", "file.yaml"))], "No such file or directory"),
    ],
)
def test_what_could_not_work_is_not_written(tmp_path, monkeypatch, arguments, words):
    """Wrong usage, with a sentence about it."""
    monkeypatch.chdir(tmp_path)
    done = run("init", *arguments)

    assert done.exit_code == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
