"""Calls in which nothing is an inference."""

import sys
import types

import pytest

from otel_ml.instrumentation.calls.quiet import quiet, quiet_functions
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Ledger


def test_a_quiet_call_sets_the_flag_and_takes_it_back():
    """Also when it fails, with its own exception."""

    def failing(*, fails):
        assert inside.get()
        if fails:
            raise ValueError("mine")
        return 3

    assert quiet(failing)(fails=False) == 3
    with pytest.raises(ValueError, match="mine"):
        quiet(failing)(fails=True)
    assert not inside.get()


@pytest.fixture
def package(monkeypatch):
    """A package that imports a function from where it is defined."""

    def train():
        return inside.get()

    defining, importing = types.ModuleType("defining"), types.ModuleType("importing")
    defining.train = importing.train = train
    monkeypatch.setitem(sys.modules, "defining", defining)
    monkeypatch.setitem(sys.modules, "importing", importing)
    return defining, importing, train


@pytest.mark.parametrize("imported_late", [False, True])
def test_a_function_is_quiet_under_each_of_its_names(package, imported_late):
    """Whether the package took the original or the hook: one hook each, and the original comes back."""
    defining, importing, train = package
    ledger = Ledger()
    first, second = quiet_functions(("train", "absent"), ("defining", "importing"))
    first.apply(defining, ledger)
    if imported_late:
        importing.train = defining.train
    second.apply(importing, ledger)

    during = (defining.train(), importing.train())
    wrapped = (defining.train.__wrapped__, importing.train.__wrapped__)
    ledger.undo()

    assert during == (True, True)
    assert wrapped == (train, train)
    assert (defining.train, importing.train) == (train, train)
