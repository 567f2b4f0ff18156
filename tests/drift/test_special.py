"""Functions of scipy.special that are loaded when they are asked for."""

import subprocess
import sys

import pytest
import scipy.special

from otel_ml.drift import special


@pytest.mark.parametrize("name", ["ndtr", "chdtrc", "xlogy"])
def test_the_functions_are_those_of_scipy(name):
    """Themselves, not something around them: their results are the same to the last bit."""
    assert getattr(special, name) is getattr(scipy.special, name)


def test_what_scipy_does_not_have_is_not_here():
    """A misspelt name is an error as of any other module."""
    with pytest.raises(AttributeError, match="ndtrr"):
        _ = special.ndtrr


def test_nothing_is_loaded_before_a_function_is_asked_for():
    """Importing all of the drift package costs no scipy; the first function does."""
    script = (
        "import sys, otel_ml.drift, otel_ml.drift.classifier, otel_ml.drift.explanation, otel_ml.drift.labels\n"
        "import otel_ml.drift.multivariate, otel_ml.drift.sequential, otel_ml.drift.streaming, otel_ml.drift.text\n"
        "print('scipy' in sys.modules)\n"
        "otel_ml.drift.special.ndtr\n"
        "print('scipy.special' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]
