"""Creating detectors by name."""

import dataclasses
import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import ClassVar

import pytest

from otel_ml.drift import registry
from otel_ml.drift.univariate.psi import PopulationStabilityIndex
from otel_ml.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class KuiperDistance:
    name: ClassVar[str] = "kuiper"
    threshold: float = 0.1

    def applies_to(self, distribution):
        return True

    def compare(self, reference, current):
        raise NotImplementedError


@pytest.fixture
def third_party(monkeypatch):
    """A package with two entry points, one of which cannot be imported."""
    module = ModuleType("their_package")
    module.KuiperDistance = KuiperDistance
    module.not_a_detector = 42
    monkeypatch.setitem(sys.modules, "their_package", module)
    found = {
        name: EntryPoint(name, f"their_package:{attribute}", registry.ENTRY_POINT_GROUP)
        for name, attribute in [("kuiper", "KuiperDistance"), ("broken", "Missing"), ("number", "not_a_detector")]
    }
    monkeypatch.setattr(registry, "entry_points", lambda *, group: found.values() if group else ())


def test_a_detector_has_the_settings_it_was_given():
    """The rest keep their defaults."""
    assert registry.create("psi", {"bins": 20}) == PopulationStabilityIndex(bins=20)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "psi",
            {"treshold": 0.3},
            (
                "processors::drift::detectors::psi::treshold: unknown setting "
                "(valid settings: bias_corrected, bins, floor, threshold);"
                " did you mean 'threshold'?"
            ),
        ),
        (
            "jensen_shanon",
            {},
            (
                "processors::drift::detectors::jensen_shanon: unknown drift detector (valid detectors: "
                f"{', '.join(registry.BUILTIN_DETECTORS)}); did you mean 'jensen_shannon'?"
            ),
        ),
        (
            "ks",
            {"threshold": 2},
            "processors::drift::detectors::ks::threshold: 2 is not valid (a number above 0 and at most 1)",
        ),
        ("ks", {"zzz": 2}, "processors::drift::detectors::ks::zzz: unknown setting (valid settings: threshold)"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_valid(name, settings, message):
    """One sentence: where, what, what would be valid, and the nearest name if there is one."""
    with pytest.raises(ConfigurationError) as raised:
        registry.create(name, settings, path="processors::drift::detectors")

    assert str(raised.value) == message


@pytest.mark.usefixtures("third_party")
def test_another_package_can_register_a_detector():
    """By entry point, imported when it is asked for."""
    assert registry.create("kuiper", {"threshold": 0.5}) == KuiperDistance(0.5)
    assert "kuiper" in registry.detector_names()


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize(("name", "wrong"), [("broken", "cannot import"), ("number", "is not a drift detector")])
def test_a_registration_that_cannot_be_used_is_told(name, wrong):
    """The error names the entry point's value, so that one knows whom to tell."""
    with pytest.raises(ConfigurationError, match=f"{name}: .*{wrong}|{wrong}.*their_package"):
        registry.create(name)
