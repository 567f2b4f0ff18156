"""The files of rules, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from otel_ml.backends.prometheus.alertmanager import CONFIGURATION
from otel_ml.backends.prometheus.model_alerts import drift, quality, recorded, telemetry
from otel_ml.backends.prometheus.pipeline_alerts import pipeline
from otel_ml.backends.prometheus.rule import Group, RuleOptions
from otel_ml.backends.prometheus.threshold_alerts import thresholds
from otel_ml.backends.yaml_text import yaml_text

RULES: Final = "otel-ml.rules.yml"
THRESHOLDS: Final = "otel-ml-thresholds.rules.yml"
ALERTMANAGER: Final = "alertmanager.yml"

_WRITTEN: Final = "Written by `otel-ml rules export`; change it there, or in a copy of your own."


def groups(options: RuleOptions) -> Mapping[str, tuple[Group, ...]]:
    """Groups of rules by the file they are in."""
    by_state = (recorded(options), drift(), quality(options), telemetry(options), pipeline())
    return {RULES: by_state, THRESHOLDS: (thresholds(options),)}


def files(options: RuleOptions) -> Mapping[str, str]:
    """The text of every file by its name; the same for the same options."""
    of_groups = groups(options)
    return {
        RULES: _text(
            "Alerts on what otel-ml's processor concludes, on what does not arrive, and on what is lost on the way.",
            of_groups[RULES],
            options,
        ),
        THRESHOLDS: _text(
            "Alerts on scores, by thresholds in Prometheus. For those who prefer them: load these beside the other"
            " file,\n"
            "and leave out its groups otel-ml-drift and otel-ml-quality, which say the same of the same columns.",
            of_groups[THRESHOLDS],
            options,
        ),
        ALERTMANAGER: yaml_text(
            CONFIGURATION,
            f"{_WRITTEN}\nA beginning: put your receivers in the place of the three webhooks.",
        ),
    }


def _text(about: str, of_file: Iterable[Group], options: RuleOptions) -> str:
    return yaml_text({"groups": [group.rendered(options) for group in of_file]}, f"{_WRITTEN}\n{about}")
