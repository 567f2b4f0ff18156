"""The unit, as systemd reads it."""

import configparser
import re
import shutil
import subprocess

import pytest
import yaml
from shipped_files import DEPLOY

UNIT = DEPLOY / "systemd" / "otel-ml-processor.service"


@pytest.fixture
def unit(tmp_path):
    """The unit with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here (apt-get install systemd)")
    if int(re.search(r"systemd (\d+)", analyze("--version")[1])[1]) < 250:
        pytest.skip("systemd-analyze is too old to judge a unit that is not installed (250 or newer)")
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("ExecStart=/opt/otel-ml/bin/otel-ml", f"ExecStart={shutil.which('true')}"))
    return path


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_systemd_knows_every_setting(unit):
    """A misspelt one would be ignored, with a line in a log that nobody reads."""
    # Of this unit alone, not of those that it merely waits for.
    assert analyze("verify", "--man=no", "--recursive-errors=no", unit) == (0, "")


def test_it_is_exposed_to_little(unit):
    """Of systemd's scale from 0 to 10; what it has left is the network, by IPv4 and IPv6."""
    code, said = analyze("security", "--offline=yes", "--no-pager", unit)

    assert code == 0
    assert float(re.search(r"Overall exposure level .*?: ([\d.]+)", said)[1]) <= 1.5


def test_it_is_given_time_to_stop_and_a_directory_of_its_own():
    """As docs/processor.md asks for; a configuration with a problem is not tried again and again."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    service = parser["Service"]
    shutdown = yaml.safe_load((DEPLOY / "processor.yaml").read_text())["service"]["shutdown_timeout"]

    assert int(service["TimeoutStopSec"].removesuffix("s")) >= int(shutdown.removesuffix("s")) + 20
    assert service["StateDirectory"] == "otel-ml"
    assert service["RestartPreventExitStatus"] == "2"
