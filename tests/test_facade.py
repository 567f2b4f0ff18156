"""The public names."""

import subprocess
import sys

import pytest

import otel_ml


def run(program):
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.strip()


def test_importing_the_package_loads_nothing():
    """Neither OpenTelemetry nor numpy, nor anything they would bring."""
    heavy = ("opentelemetry", "grpc", "numpy", "scipy", "datasketches", "google", "wrapt", "sklearn", "fastapi")

    loaded = run(f"import sys, otel_ml; print([n for n in sys.modules if n.split('.')[0] in {heavy}])")

    assert loaded == "[]"


@pytest.mark.parametrize("name", otel_ml.__all__)
def test_every_public_name_is_there(name):
    """And found by dir()."""
    assert getattr(otel_ml, name) is not None
    assert name in dir(otel_ml)


def test_the_version_is_the_installed_one():
    """As the package metadata say."""
    from importlib.metadata import version

    assert otel_ml.__version__ == version("otel-ml")


def test_an_unknown_name_is_an_attribute_error():
    """As from any module."""
    with pytest.raises(AttributeError, match="no attribute 'recrod'"):
        _ = otel_ml.recrod


def test_recording_loads_no_sdk_and_no_framework():
    """The library adds to what the user runs; it brings nothing along."""
    heavy = ("grpc", "sklearn", "fastapi", "pandas", "polars", "pyarrow", "torch")

    loaded = run(
        "import sys, otel_ml; otel_ml.record({'a': 1.0}); "
        f"print([n for n in sys.modules if n.split('.')[0] in {heavy} or n.startswith('opentelemetry.sdk')])"
    )

    assert loaded == "[]"
