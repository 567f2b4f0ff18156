"""The structure that the design promises, beyond what the import contracts in pyproject.toml check."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for package in ("otel_ml", "collector_processor")
    for path in (ROOT / package).rglob("*.py")
    if not path.name.endswith("_pb2.py")
)


def test_importing_the_library_loads_nothing_heavy():
    """`import otel_ml` in someone's server costs no import of telemetry, gRPC, arrays or frameworks."""
    heavy = ["opentelemetry", "grpc", "numpy", "scipy", "google.protobuf", "sklearn", "fastapi", "pydantic", "wrapt"]
    script = f"import sys, otel_ml; print([name for name in {heavy!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_importing_the_kernel_loads_no_telemetry():
    """The service and training code use the kernel without OpenTelemetry or gRPC coming along."""
    script = (
        "import sys, otel_ml.sketch, otel_ml.drift, otel_ml.baseline, otel_ml.semconv;"
        "others = ('opentelemetry', 'grpc', 'pydantic', 'wrapt', 'pandas', 'pyarrow');"
        "print([name for name in others if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_has_one_thing_to_say(path):
    """A file stays within 400 lines and opens with a docstring (an empty __init__ says nothing)."""
    text = path.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 400
    assert not text.strip() or text.lstrip().startswith('"""')


def test_names_on_the_wire_live_in_one_place():
    """Only semconv.py spells out an `ml.*` name; everything else refers to it."""
    spelled = re.compile(r'"ml\.[a-z_]+\.[a-z_.]+"')

    offenders = [
        f"{path.relative_to(ROOT)}: {match}"
        for path in SOURCES
        if path.name != "semconv.py"
        for match in spelled.findall(path.read_text(encoding="utf-8"))
    ]

    assert offenders == []
