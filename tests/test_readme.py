"""Everything that the README tells people to type is typed here, and does what it says there."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from otlp_sink import OtlpSink
from receiving import Authority

from collector_processor.config import load
from otel_ml import environment_variables, semconv

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
PROCESSOR = (ROOT / "docs" / "processor.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent

BUILD_BASELINE = "otel-ml baseline build train.csv --model wine --version 1 --prediction cultivar -o wine.baseline"
NAME_MODEL = (
    "export OTEL_PYTHON_ML_MODEL_NAME=wine OTEL_PYTHON_ML_MODEL_VERSION=1 OTEL_PYTHON_ML_BASELINE=wine.baseline"
)

pytestmark = pytest.mark.slow


def blocks(language, text=README):
    """The contents of all fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(page=README):
    """Every command in a page's bash blocks, continuation lines joined, comments left out."""
    text = "\n".join(blocks("bash", page)).replace("\\\n", " ")
    return [re.sub(r"\s+#.*$", "", line).strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def files():
    """The files the README shows, by the name in their first comment."""
    shown = [*blocks("python"), *blocks("yaml")]
    return {re.match(r"# ([\w.-]+)", text)[1]: text for text in shown if re.match(r"# [\w.-]+\.\w+", text)}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder of the reader's own, with the files the README shows."""
    folder = tmp_path_factory.mktemp("reader")
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def copy_of_the_project(folder):
    """What a fresh clone of this working tree would hold."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def environment(**variables):
    """The reader's shell, with the virtual environment's commands first."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONWARNINGS": "default", **variables}


def run(command, folder, **variables):
    """Run a command as typed in a shell and return what it printed."""
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command_is_known_here():
    """A command that enters the README must enter this file, or it is never tried."""
    tried = {
        "make demo",
        'make demo ARGS="--headless --json"',
        "make test",
        "make test-frameworks",
        "make lint",
        "make collector",
        "make peers",
        "make bench",
        "pip install 'otel-ml[fastapi,sklearn]' pandas uvicorn",
        "pip install 'otel-ml[processor]'",
        "python train.py",
        "opentelemetry-instrument uvicorn app:app",
        BUILD_BASELINE,
        NAME_MODEL,
        "otel-ml processor --config processor.yaml",
        "python -m benchmarks --list",
        "python -m benchmarks hot_path --json",
    }

    assert set(commands()) == tried


def test_benchmarks_that_pages_tell_to_run_exist():
    """Whichever is named on the page of figures, or in passing."""
    names = {line.split()[0] for line in run("python -m benchmarks --list", ROOT).splitlines() if line}
    told = {command.split()[3] for command in commands(PERFORMANCE)} - {"--list"}
    said = set(re.findall(r"`python -m benchmarks (\w+)", README + PERFORMANCE))

    assert told | said <= names
    assert told


def test_code_that_is_no_file_runs_as_it_stands(tmp_path):
    """A snippet can be pasted into an interpreter."""
    snippets = [text for text in blocks("python") if text not in files().values()]

    for snippet in snippets:
        subprocess.run([sys.executable, "-W", "error", "-c", snippet], cwd=tmp_path, check=True)
    assert snippets


def test_every_name_and_variable_it_mentions_exists():
    """A metric, event, variable or file in the README is one of ours."""
    names = set(re.findall(r"`(ml\.[a-z_.]+[a-z])`", README))
    variables = set(re.findall(r"`(OTEL_PYTHON_ML_\w+)`", README))
    links = set(re.findall(r"\]\(([^)#]+)\)", README))
    known = (ROOT / "otel_ml" / "semconv.py").read_text(encoding="utf-8")

    assert {name for name in names if f'"{name}"' not in known} <= {
        "ml.feature.drift.psi",
        "ml.model.drift.correlation",
    }
    assert variables <= set(vars(environment_variables))
    assert {link for link in links if not link.startswith("http") and not (ROOT / link).exists()} == set()


def test_every_promise_names_tests_that_exist():
    """What no test shows is no promise."""
    section = README.split("## What the processor promises")[1].split("\n## ")[0]
    promises = [line for line in section.splitlines() if line.startswith("| ")][1:]
    shown = [re.findall(r"\[(test_\w+)\]\(([^)]+)\)", line) for line in promises]
    missing = [
        f"{path}::{name}"
        for found in shown
        for name, path in found
        if not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
    ]

    assert len(promises) >= 15
    assert all(shown)
    assert missing == []


def test_the_processors_page_holds_valid_configurations(tmp_path, monkeypatch):
    """Those that show a part are completed with the rest of what the quick start has."""
    complete = yaml.safe_load(files()["processor.yaml"])
    complete["processors"]["drift"]["baselines"] = []
    shown = [yaml.safe_load(text) for text in blocks("yaml", PROCESSOR)]
    authority = Authority(tmp_path, "clients")
    (tmp_path / "clients.crt").write_bytes(authority.file.read_bytes())
    authority.issue()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "configuration.yaml"

    for part in shown:
        path.write_text(yaml.safe_dump({**complete, **part}), encoding="utf-8")
        load(path, {"OTEL_ML_TOKEN": "a-token", "BACKEND_KEY": "a-key"})
    assert len(shown) >= 2


def test_the_processors_page_mentions_only_what_exists():
    """Metrics, files and places in files."""
    known = {metric.name for metric in vars(semconv).values() if isinstance(metric, semconv.Metric)}
    table = PROCESSOR.split("| `ml.processor.` |")[1].split("\n\n")[0]
    first_cells = "".join(line.split("|")[1] for line in table.splitlines()[2:])
    metrics = {f"ml.processor.{name}" for name in re.findall(r"`([a-z._]+)`", first_cells)}
    links = set(re.findall(r"\]\(([^)#]+)", PROCESSOR))
    places = set(re.findall(r"processor\.md#([\w-]+)", README)) | set(re.findall(r"\]\(#([\w-]+)\)", PROCESSOR))
    headings = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", PROCESSOR, flags=re.MULTILINE)
    }

    assert metrics == {name for name in known if name.startswith("ml.processor.")}
    assert {link for link in links if not (ROOT / "docs" / link).exists()} == set()
    assert places - headings == set()


def test_every_framework_is_in_the_tables():
    """With what was tested, and with what is not seen."""
    called = {"sklearn": "scikit-learn", "onnxruntime": "onnx runtime"}
    names = [
        point.name.removeprefix("otel_ml_")
        for point in entry_points(group="opentelemetry_instrumentor")
        if point.value.startswith("otel_ml.")
    ]
    rows = [line.split("|")[1].strip().lower() for line in README.splitlines() if line.startswith("| ")]

    assert len(names) >= 20
    for name in names:
        title = called.get(name, name.replace("_", " "))
        assert any(row.startswith(title) or row.endswith(title) for row in rows), name


def test_continuous_integration_runs_the_readmes_test_command():
    """What the README calls the tests is what guards every change."""
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test-frameworks" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make lint" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make peers" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_demo_works_on_a_fresh_clone(tmp_path):
    """`make demo` sets itself up, and in its machine-readable form says only JSON on stdout."""
    clone = copy_of_the_project(tmp_path)
    # A reader's shell: not inside another make, which would make this one announce its directory on stdout.
    inherited = ("VIRTUAL_ENV", "PYTHONPATH", "MAKELEVEL", "MAKEFLAGS", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in inherited}

    done = subprocess.run(
        ["make", "demo", "ARGS=--headless --json"],
        cwd=clone, env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert report["rows_sent"] == report["rows_counted"] > 0


def test_the_wheel_installs_with_the_extras_named(tmp_path):
    """`pip install 'otel-ml[…]'` works from the built wheel in an environment that holds nothing else."""
    source = copy_of_the_project(tmp_path / "source")
    run(f"{sys.executable} -m build --wheel --outdir {tmp_path} .", source)
    wheel = next(tmp_path.glob("*.whl"))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    fresh = tmp_path / "venv" / "bin"

    installed = subprocess.run(
        [fresh / "pip", "install", "--quiet", f"otel-ml[fastapi,processor,sklearn] @ file://{wheel}", "uvicorn"],
        capture_output=True, text=True,
    )  # fmt: skip
    version = subprocess.run([fresh / "otel-ml", "--version"], capture_output=True, text=True)
    imports = subprocess.run(
        [fresh / "python", "-W", "error", "-c", "import otel_ml, fastapi, sklearn.svm; otel_ml.instrument()"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip

    assert installed.returncode == 0, installed.stderr
    assert version.returncode == 0, version.stderr
    assert imports.returncode == 0, imports.stderr


def test_the_quick_start_delivers_what_it_promises(elsewhere):
    """Train, serve, build a baseline, run the processor: drift of the served model arrives at the backend."""
    run("python train.py", elsewhere)
    run(BUILD_BASELINE, elsewhere)
    with OtlpSink() as backend:
        config = (elsewhere / "processor.yaml").read_text(encoding="utf-8")
        port = free_port()
        config = config.replace("127.0.0.1:4317", f"127.0.0.1:{port}")
        config = config.replace("http://backend.example:4317", backend.endpoint)
        config = re.sub(r"window: \w+", "window: 3s\n    lateness: 1s", config)
        config = config.replace("service:\n", 'service:\n  status: {endpoint: "127.0.0.1:0"}\n')
        (elsewhere / "processor.yaml").write_text(config, encoding="utf-8")
        processor = subprocess.Popen(
            [BIN / "otel-ml", "processor", "--config", "processor.yaml"], cwd=elsewhere, env=environment()
        )
        web = free_port()
        server = subprocess.Popen(
            [BIN / "opentelemetry-instrument", "uvicorn", "app:app", "--port", str(web)],
            cwd=elsewhere,
            env=environment(
                **dict(pair.split("=") for pair in NAME_MODEL.removeprefix("export ").split()),
                OTEL_PYTHON_ML_EXPORT_INTERVAL="500",
                OTEL_BLRP_SCHEDULE_DELAY="200",
                OTEL_METRIC_EXPORT_INTERVAL="500",
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
                OTEL_EXPORTER_OTLP_INSECURE="true",
            ),
        )
        try:
            wait_until_serving(web, server)
            answers = []
            wine = {"alcohol": 13.2, "malic_acid": 1.8, "color_intensity": 4.4}
            deadline = time.monotonic() + 60
            while not (backend.metrics_named("ml.feature.value") and backend.metrics_named("ml.feature.drift.psi")):
                assert time.monotonic() < deadline, backend
                answers += [post(f"http://127.0.0.1:{web}/predict", wine) for _ in range(50)]
        finally:
            for process in (server, processor):
                process.terminate()
                process.wait(20)

    assert all(answer.keys() == {"cultivar"} for answer in answers)


def test_the_benchmarks_can_be_listed_and_read_by_machines():
    """`--list` names what there is; `--json` prints one object in the form all benchmarks share."""
    listed = run("python -m benchmarks --list", ROOT)
    printed = run("python -m benchmarks hot_path --json", ROOT)

    assert "hot_path" in listed
    figures = json.loads(printed)["figures"]
    assert figures
    for figure in figures.values():
        assert figure.keys() == {"value", "unit", "goal", "limit", "better"}
        assert figure["better"] in ("lower", "higher")


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_serving(port, process):
    for _ in range(300):
        assert process.poll() is None, "the server died"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server never answered")


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


@pytest.mark.skipif(shutil.which("wrk") is None, reason="the server benchmark needs wrk (apt-get install wrk)")
def test_the_server_benchmark_runs_all_its_variants():
    """One round of each, under real load; how fast they are is for the benchmark itself to say."""
    printed = run("python -m benchmarks server --json", ROOT, OTEL_ML_BENCHMARK_ROUNDS="1")

    figures = json.loads(printed)["figures"]
    rates = {name: figure["value"] for name, figure in figures.items() if name.endswith("_requests_per_s")}
    assert len(rates) == 20
    assert all(rate > 0 for rate in rates.values())


def test_the_drift_benchmark_prints_its_budgets():
    """Beside goal and limit; how they come out is for the benchmark itself to say."""
    printed = run("python -m benchmarks drift --json", ROOT)

    figures = json.loads(printed)["figures"]
    assert {"drift_100_features_8_replicas_bins", "drift_10000_features_a_column"} <= set(figures)
    assert all(figure["value"] > 0 for figure in figures.values())


def test_the_detection_benchmark_runs_all_its_parts():
    """In as few repetitions as show that it works."""
    printed = run("python -m benchmarks detection --json", ROOT, OTEL_ML_BENCHMARK_ROUNDS="0")

    figures = json.loads(printed)["figures"]
    parts = {"error", "false_positives", "power", "replicas", "online", "month", "failing_loudly", "label_shift"}
    assert parts <= {name.split(".")[0] for name in figures}
