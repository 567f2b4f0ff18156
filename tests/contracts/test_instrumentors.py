"""The contract of every instrumentor we ship: being an entry point of ours is being tested here."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

import otel_ml.instrumentation
from otel_ml.config import Settings
from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.recording import guard

POINTS = [
    point for point in entry_points(group="opentelemetry_instrumentor") if point.value.startswith("otel_ml.instrument")
]
HEAVY = ("numpy", "scipy", "sklearn", "fastapi", "starlette", "pydantic", "pandas", "flask", "grpc", "google.protobuf")

each = pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
each_installed = pytest.mark.parametrize(
    "point", [point for point in POINTS if point.load()().is_available()], ids=lambda point: point.name
)


@pytest.fixture(autouse=True)
def uninstrumented():
    otel_ml.instrumentation.uninstrument_all()
    guard.reset()
    yield
    otel_ml.instrumentation.uninstrument_all()
    assert guard.failures() == {}


def target_of(patch):
    """What a patch changes, as the owner holds it."""
    owner = sys.modules[patch.module]
    *path, name = patch.attribute.split(".")
    for step in path:
        owner = getattr(owner, step)
    return vars(owner).get(name)


def test_there_are_instrumentors():
    """The entry points in pyproject.toml are installed."""
    assert {point.name for point in POINTS} >= {"otel_ml_fastapi", "otel_ml_sklearn"}


@each
def test_it_is_an_instrumentor_like_any_other(point):
    """OpenTelemetry's loader can use it, and its name does not collide with contrib's."""
    instrumentor = point.load()

    assert issubclass(instrumentor, BaseInstrumentor)
    assert issubclass(instrumentor, MLInstrumentor)
    assert point.name.startswith("otel_ml_")
    assert instrumentor.requires or instrumentor.requires_any
    dependencies = tuple(instrumentor().instrumentation_dependencies())
    assert set(instrumentor.requires) <= set(dependencies) <= {*instrumentor.requires, *instrumentor.requires_any}


@each
def test_loading_and_switching_it_on_imports_nothing_heavy(point):
    """It happens in every Python process under opentelemetry-instrument, before the application."""
    script = (
        "import sys;"
        f"from {point.module} import {point.attr} as I;"
        "I().instrument(skip_dep_check=True);"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@each_installed
def test_it_restores_the_original_objects_again_and_again(point):
    """instrument, uninstrument, instrument, uninstrument: the same objects each time."""
    instrumentor = point.load()()
    shared = [shared.patch for shared in instrumentor.shared]
    patches = [patch for patch in (*instrumentor.patches(), *shared) if hasattr(patch, "wrap")]
    for patch in patches:
        __import__(patch.module)
    originals = [target_of(patch) for patch in patches]

    for _ in range(2):
        instrumentor.instrument(skip_dep_check=True)
        patched = [target_of(patch) for patch in patches]
        instrumentor.uninstrument()

        assert all(now is not original for now, original in zip(patched, originals, strict=True))
        assert all(target_of(patch) is original for patch, original in zip(patches, originals, strict=True))
    assert patches


@each
def test_an_absent_framework_is_no_error(point, monkeypatch, caplog):
    """The wheel holds instrumentors for frameworks the user does not have: they stay silent and do nothing."""
    instrumentor = point.load()
    monkeypatch.setattr(instrumentor, "requires", ("no-such-framework-anywhere >= 1",))

    instrumentor().instrument(skip_dep_check=True)

    assert not instrumentor.active
    assert caplog.records == []


@each
def test_a_framework_that_is_too_old_is_left_alone(point, monkeypatch, caplog):
    """Older versions may look different inside: better no telemetry than a broken server."""
    instrumentor = point.load()
    monkeypatch.setattr(instrumentor, "requires", ("pytest >= 10000",))

    instrumentor().instrument(skip_dep_check=True)

    assert not instrumentor.active
    assert caplog.records == []


@each
def test_a_failure_while_patching_stops_here(point, monkeypatch, caplog):
    """An exception in one instrumentor would abort every later one, of whatever make."""
    instrumentor = point.load()

    def broken(self):
        raise RuntimeError("broken")

    monkeypatch.setattr(instrumentor, "patches", broken)
    monkeypatch.setattr(instrumentor, "requires", ())  # also for a framework that is not installed here
    monkeypatch.setattr(instrumentor, "requires_any", ())
    instrumentor().instrument(skip_dep_check=True)
    instrumentor().uninstrument()

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert list(guard.failures()) == [f"instrumenting with {instrumentor.__name__}"]
    guard.reset()


def test_all_are_switched_on_and_off_together():
    """otel_ml.instrument() does what opentelemetry-instrument does, and may come after it."""
    otel_ml.instrumentation.instrument_all(Settings())
    otel_ml.instrumentation.instrument_all(Settings())
    active = {point.name for point in POINTS if point.load().active}
    otel_ml.instrumentation.uninstrument_all()
    otel_ml.instrumentation.uninstrument_all()

    assert active == {point.name for point in POINTS if point.load()().is_available()}
    assert active >= {"otel_ml_fastapi", "otel_ml_sklearn", "otel_ml_flask", "otel_ml_grpc"}
    assert not any(point.load().active for point in POINTS)


def test_nothing_is_switched_on_when_everything_is_off():
    """OTEL_PYTHON_ML_ENABLED=false and OTEL_SDK_DISABLED=true leave the process as it is."""
    otel_ml.instrumentation.instrument_all(Settings(enabled=False))

    assert not any(point.load().active for point in POINTS)


def test_single_instrumentors_can_be_left_out(monkeypatch):
    """OTEL_PYTHON_DISABLED_INSTRUMENTATIONS means the same in code and under opentelemetry-instrument."""
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "requests, otel_ml_fastapi")

    otel_ml.instrumentation.instrument_all(Settings())

    assert {point.name: point.load().active for point in POINTS}["otel_ml_fastapi"] is False
    assert {point.name: point.load().active for point in POINTS}["otel_ml_sklearn"] is True
