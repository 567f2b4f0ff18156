"""The composition, read as Docker Compose reads it, and each file that it mounts by the program it is for."""

import os
import re
import runpy
import subprocess
import sys

import pytest
import yaml
from peers.running import program
from shipped_files import DEPLOY, validated

FOLDER = DEPLOY / "compose"
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]


def test_it_follows_the_compose_specification():
    """The library that Docker Compose itself reads files with."""
    done = subprocess.run(
        [program("compose-spec"), "--format", "json", FOLDER / "compose.yaml"],
        cwd=FOLDER,
        env={**os.environ, "COMPOSE_PROJECT_NAME": "otel-ml"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert set(yaml.safe_load(done.stdout)["services"]) == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_alone(name):
    """Docker would otherwise open them to everybody, past the machine's own firewall."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_of_one_version_and_may_do_little(name):
    """No `latest`; a read-only root, and no capabilities."""
    service = SERVICES[name]

    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_mounts_and_builds_is_there(name):
    """Docker makes an empty folder of a path that does not exist, and says nothing."""
    service = SERVICES[name]
    mounted = [volume.partition(":")[0] for volume in service.get("volumes", [])]
    build = service.get("build")

    assert all((FOLDER / path).exists() for path in mounted if path.startswith("."))
    assert build is None or (FOLDER / build["context"] / build["dockerfile"]).is_file()


def test_collectors_that_are_pinned_are_those_that_are_tested():
    """The image is of the release in deploy/collector/manifest.yaml."""
    manifest = yaml.safe_load((DEPLOY / "collector" / "manifest.yaml").read_text())

    assert SERVICES["collector"]["image"].endswith(f":{manifest['dist']['version']}")


def test_the_processor_accepts_its_configuration(tmp_path):
    """With the baseline that the training makes."""
    train = [sys.executable, FOLDER / "model-server" / "train.py", tmp_path]
    subprocess.run(train, check=True, capture_output=True, timeout=120)

    assert validated(FOLDER / "processor.yaml", OTEL_ML_BASELINES=str(tmp_path)) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"train.csv", "wine.baseline", "wine.joblib"}


def test_training_again_changes_nothing(tmp_path):
    """The container runs at every start; another baseline would be another model."""
    command = [sys.executable, FOLDER / "model-server" / "train.py", tmp_path]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    first = (tmp_path / "wine.baseline").read_bytes()
    subprocess.run(command, check=True, capture_output=True, timeout=120)

    assert (tmp_path / "wine.baseline").read_bytes() == first


def test_the_collector_accepts_its_two_files(tmp_path):
    """agent.yaml, and what is laid over it."""
    files = [DEPLOY / "collector" / "agent.yaml", FOLDER / "alerts.yaml"]
    done = subprocess.run(
        [program("collector"), "validate", *(f"--config={file}" for file in files)],
        env={**os.environ, "COLLECTOR_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_prometheus_accepts_its_configuration():
    """As promtool reads it; the rules that it names are mounted from deploy/prometheus."""
    promtool = program("prometheus").with_name("promtool")
    command = [promtool, "check", "config", "--syntax-only", FOLDER / "prometheus.yaml"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("after_s", "alcohol"), [(0, 13.0), (599, 13.0), (601, 22.75), (899, 22.75), (901, 13.0)])
def test_traffic_is_in_another_unit_for_a_while(after_s, alcohol):
    """Ten minutes are in order, then alcohol is in degrees proof for five, and so on."""
    traffic = runpy.run_path(str(FOLDER / "model-server" / "traffic.py"))

    assert traffic["as_sent"]({"alcohol": 13.0, "malic_acid": 2.0}, after_s) == {"alcohol": alcohol, "malic_acid": 2.0}
