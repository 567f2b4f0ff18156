"""Recording and alerting rules, and the YAML that Prometheus reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from otel_ml.backends.grafana.links import FLEET_UID, MODEL_UID
from otel_ml.backends.promql import FEATURE, MODEL, VERSION, Histograms

Severity = Literal["page", "ticket", "info"]


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """What users decide about the rules.

    Attributes:
        histograms: How Prometheus stores durations.
        runbooks: Where docs/runbooks is found, as an address or a path.
        grafana: Address of Grafana; no links to boards without.
        console: Address of the processor's console; no links to it without.
        silent_after: How long a model may be without rows.
        error_share: Share of failing calls that is worth a ticket.
        lost_share: Share of rows without a feature from which on it counts as lost.
        statistic: Of the rules with thresholds of their own: by what drift is measured.
        fires_above: Likewise: score at which they fire.
        clears_below: Likewise: score at which they resolve.
        min_rows: Likewise: rows below which a window says nothing.
        missing_above: Likewise: share of missing values at which they fire; they resolve at half of it.
        hold: Likewise: how long it has to last.
    """

    histograms: Histograms = "classic"
    runbooks: str = "docs/runbooks"
    grafana: str = ""
    console: str = ""
    silent_after: str = "30m"
    error_share: float = 0.05
    lost_share: float = 0.5
    statistic: str = "psi"
    fires_above: float = 0.2
    clears_below: float = 0.15
    min_rows: int = 500
    missing_above: float = 0.1
    hold: str = "30m"


@dataclass(frozen=True, slots=True)
class Record:
    """A rule that keeps the result of a query as a series."""

    name: str
    expr: str

    def rendered(self, _: RuleOptions) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.name, "expr": self.expr}


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that tells somebody.

    Attributes:
        severity: "page" wakes somebody, "ticket" is for the next working day, "info" for whoever looks.
        summary: One line: what, of which model. A template of Prometheus, as is the description.
        description: What it means, and what was measured.
        lasting: For how long the expression has to hold.
        is_of_model: Whether its labels name a model.
        is_of_feature: Whether its labels name a feature.
    """

    name: str
    expr: str
    severity: Severity
    summary: str
    description: str
    lasting: str = ""
    is_of_model: bool = True
    is_of_feature: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    def rendered(self, options: RuleOptions) -> dict[str, Any]:
        """As Prometheus reads it."""
        rule: dict[str, Any] = {"alert": self.name, "expr": self.expr}
        if self.lasting:
            rule["for"] = self.lasting
        rule["labels"] = {"severity": self.severity, **self.labels}
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{options.runbooks.rstrip('/')}/{self.name}.md",
            **self._links(options),
        }
        return rule

    def _links(self, options: RuleOptions) -> dict[str, str]:
        model, version, feature = (f"{{{{ $labels.{name} | urlquery }}}}" for name in (MODEL, VERSION, FEATURE))
        chosen = f"?var-model={model}&var-version={version}" if self.is_of_model else ""
        if self.is_of_feature:
            chosen += f"&var-feature={feature}"
        page = f"feature?name={model}&version={version}&feature={feature}" if self.is_of_feature else ""
        if self.is_of_model and not page:
            page = f"model?name={model}&version={version}"
        found = {}
        if options.grafana:
            uid = MODEL_UID if self.is_of_model else FLEET_UID
            found["dashboard_url"] = f"{options.grafana.rstrip('/')}/d/{uid}{chosen}"
        if options.console:
            found["console_url"] = f"{options.console.rstrip('/')}/{page}"
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, in order."""

    name: str
    rules: Sequence[Record | Alert]

    def rendered(self, options: RuleOptions) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"name": self.name, "rules": [rule.rendered(options) for rule in self.rules]}


def label(name: str) -> str:
    """A label within a summary or description."""
    return f"{{{{ $labels.{name} }}}}"


PERCENT = "{{ $value | humanizePercentage }}"
SUBJECT = f"{label(MODEL)} {label(VERSION)}"
