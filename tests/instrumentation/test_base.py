"""When an instrumentor finds its framework."""

import pytest

from otel_ml.instrumentation.base import MLInstrumentor

HERE, ABSENT, TOO_NEW = "pytest >= 1", "no-such-framework-anywhere >= 1", "pytest >= 10000"


@pytest.fixture
def instrumentor(monkeypatch):
    class Instrumentor(MLInstrumentor):
        def patches(self):
            return ()

    made = Instrumentor()
    yield made
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()


@pytest.mark.parametrize(
    ("requires", "requires_any", "expected"),
    [
        ((HERE,), (), True),
        ((ABSENT,), (), False),
        ((), (ABSENT, HERE), True),
        ((), (ABSENT, TOO_NEW), False),
        ((HERE,), (HERE,), True),
        ((ABSENT,), (HERE,), False),
    ],
)
def test_a_framework_may_come_in_several_distributions(instrumentor, requires, requires_any, expected):
    """All of `requires` and one of `requires_any`, each in a version that is known."""
    type(instrumentor).requires = requires
    type(instrumentor).requires_any = requires_any

    instrumentor.instrument(skip_dep_check=True)

    assert instrumentor.active is expected


def test_opentelemetrys_own_check_is_passed_with_one_distribution(instrumentor):
    """Called without `skip_dep_check`, it wants all dependencies: those that are installed are told."""
    type(instrumentor).requires_any = (ABSENT, HERE)

    instrumentor.instrument()

    assert instrumentor.active
    assert tuple(instrumentor.instrumentation_dependencies()) == (HERE,)


def test_where_none_is_installed_all_are_told(instrumentor):
    """Then OpenTelemetry's message says what would be needed."""
    type(instrumentor).requires_any = (ABSENT, TOO_NEW)

    assert tuple(instrumentor.instrumentation_dependencies()) == (ABSENT, TOO_NEW)
