"""The wheel, installed where nothing else is: all that the service needs is in it."""

import os
import subprocess
import sys
import urllib.request
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from peers.running import Started, ask, free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("uv") is None, reason="uv is not here (pip install uv)"),
]

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "collector_processor" / "console"


def uv(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "uv", *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", folder, ROOT)
    (found,) = folder.glob("*.whl")
    return found


def test_all_that_pages_are_made_of_is_in_the_wheel(wheel):
    """Templates, styles, scripts of ours and of others with their licences."""
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for folder in ("html", "static") for path in (CONSOLE / folder).rglob("*") if path.is_file()]

    assert len(files) > 10
    assert {path.relative_to(ROOT).as_posix() for path in files} - names == set()
    assert not [name for name in names if name.startswith(("tests/", "deploy/", "benchmarks/"))]


def test_an_installed_processor_shows_the_console(wheel, tmp_path):
    """From its own files, with no more installed than `otel-ml[processor]` asks for."""
    place = tmp_path / "venv"
    uv("venv", "--python", sys.executable, place)
    uv("pip", "install", "--python", place / "bin" / "python", f"{wheel}[processor]")
    grpc_port, console_port = free_ports(2)
    way = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
    configuration = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{grpc_port}"}}}},
        "processors": {"drift": {}},
        "exporters": {"otlp_grpc": {"endpoint": "127.0.0.1:1"}},
        "service": {
            "status": {"enabled": False},
            "console": {"endpoint": f"127.0.0.1:{console_port}"},
            "pipelines": {"metrics": way, "logs": {**way, "processors": ["drift"]}},
        },
    }
    path = tmp_path / "processor.yaml"
    path.write_text(yaml.safe_dump(configuration))
    url = f"http://127.0.0.1:{console_port}"
    # Neither the folder nor the variables of who tests lead back to the sources.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    command = [place / "bin" / "otel-ml", "processor", "--config", path]
    processor = Started(
        "processor", command, tmp_path / "log", f"127.0.0.1:{console_port}", lambda: answers(url),
        env=environment, cwd=tmp_path,
    )  # fmt: skip
    try:
        page, style = fetched(f"{url}/"), fetched(f"{url}/static/console.css")

        assert "No model has been heard of yet" in page
        assert style == (CONSOLE / "static" / "console.css").read_text()
        assert ask(f"{url}/models.json")["models"] == []
        assert ask(f"{url}/pipeline.json")["state"] in ("ok", "look")
    finally:
        assert processor.stop() == 0


def answers(url):
    try:
        fetched(url)
    except OSError:
        return False
    return True


def fetched(url):
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read().decode()
