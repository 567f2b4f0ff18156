"""Replacing attributes and putting the very same objects back."""

import functools
import gc
import sys
import types
import weakref

import pytest

from otel_ml.instrumentation.patch import Ledger, Patch, SharedPatch, apply_when_imported
from otel_ml.recording import guard


def twice(original):
    return lambda *args: 2 * original(*args)


def wrapped(original):
    @functools.wraps(original)
    def wrapper(self):
        return original(self)

    return wrapper


@pytest.fixture
def module():
    """A module that is loaded, with a function and a class that inherits its method."""
    loaded = types.ModuleType("otel_ml_test_target")
    exec(
        "def one(): return 1\n"
        "class Base:\n"
        "    def method(self): return 1\n"
        "    @classmethod\n"
        "    def build(cls): return cls\n"
        "class Child(Base): pass\n",
        loaded.__dict__,
    )
    sys.modules[loaded.__name__] = loaded
    yield loaded
    del sys.modules[loaded.__name__]


def test_a_loaded_module_is_patched_at_once_and_restored_to_the_same_object(module):
    """Undoing puts back the original, not a copy or an equivalent."""
    original = module.one
    ledger = Ledger()

    apply_when_imported([Patch(module.__name__, "one", twice)], ledger)
    patched = module.one()
    ledger.undo()

    assert patched == 2
    assert module.one is original


def test_an_inherited_attribute_is_taken_away_again(module):
    """A class that had no such attribute of its own has none afterwards."""
    ledger = Ledger()

    apply_when_imported([Patch(module.__name__, "Child.method", twice)], ledger)
    patched = module.Child().method()
    ledger.undo()

    assert patched == 2
    assert "method" not in vars(module.Child)
    assert module.Child().method() == 1


def test_a_classmethod_comes_back_as_the_object_the_class_held(module):
    """What is restored is what is stored in the class, not what access makes of it."""
    stored = vars(module.Base)["build"]
    ledger = Ledger()

    ledger.replace(module.Base, "build", classmethod(lambda cls: None))
    ledger.undo()

    assert vars(module.Base)["build"] is stored


def test_a_module_imported_later_is_patched_then(tmp_path, monkeypatch):
    """Nothing is imported for the sake of patching it; importing it brings the patch."""
    (tmp_path / "otel_ml_test_later.py").write_text("def one(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    ledger = Ledger()

    apply_when_imported([Patch("otel_ml_test_later", "one", twice)], ledger)
    before = "otel_ml_test_later" in sys.modules
    import otel_ml_test_later

    assert not before
    assert otel_ml_test_later.one() == 2
    ledger.undo()
    assert otel_ml_test_later.one() == 1
    del sys.modules["otel_ml_test_later"]


def test_a_patch_that_was_undone_before_the_import_never_happens(tmp_path, monkeypatch):
    """An import hook that is still pending after undo does nothing."""
    (tmp_path / "otel_ml_test_pending.py").write_text("def one(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    ledger = Ledger()

    apply_when_imported([Patch("otel_ml_test_pending", "one", twice)], ledger)
    ledger.undo()
    import otel_ml_test_pending

    assert otel_ml_test_pending.one() == 1
    del sys.modules["otel_ml_test_pending"]


def test_what_others_patched_over_ours_is_left_to_them(module):
    """Undoing does not tear out a patch that somebody put on top."""
    ledger = Ledger()
    apply_when_imported([Patch(module.__name__, "one", twice)], ledger)
    theirs = twice(module.one)
    module.one = theirs

    ledger.undo()

    assert module.one is theirs


def test_a_patch_without_its_target_is_said_once_and_skipped(module, caplog):
    """A framework that moved things must not break the user's import, nor the other patches."""
    guard.reset()
    ledger = Ledger()

    apply_when_imported(
        [Patch(module.__name__, "gone", twice), Patch(module.__name__, "one", twice)],
        ledger,
    )

    assert module.one() == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert guard.failures() == {"patching otel_ml_test_target.gone": 1}
    guard.reset()


def test_an_optional_patch_without_its_target_is_no_failure(module):
    """Some attributes exist in some versions only."""
    guard.reset()

    apply_when_imported([Patch(module.__name__, "gone", twice, optional=True)], Ledger())

    assert guard.failures() == {}


def test_a_ledger_keeps_no_class_alive():
    """Classes made in a function go when the function is done, hooked or not."""

    class Model:
        def predict(self):
            return __class__  # a method that refers to its class, as super() does

    ledger = Ledger()
    ledger.replace(Model, "predict", wrapped(Model.predict))
    reference = weakref.ref(Model)

    del Model
    gc.collect()

    assert reference() is None
    ledger.undo()


def test_a_shared_patch_stays_until_its_last_user_is_gone(module):
    """Made once, undone once, and again after that."""
    original = module.one
    shared = SharedPatch(Patch(module.__name__, "one", twice))

    for _ in range(2):
        seen = []
        for step in (shared.acquire, shared.acquire, shared.release, shared.release):
            step()
            seen.append((module.one(), shared.active))

        assert seen == [(2, True), (2, True), (2, True), (1, False)]
        assert module.one is original
