"""A board: variables, rows of panels, and where each of them stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_ml.backends.grafana.panels import METRICS, Link, Panel

# Of Grafana 11.6; newer ones migrate it when they load it, 10 and 11 ignore what they do not know.
SCHEMA_VERSION: Final = 41
_WIDTH: Final = 24
_ON_TIME_RANGE_CHANGE: Final = 2


@dataclass(frozen=True, slots=True)
class DataSource:
    """A variable that chooses a data source of one type, so that no board names one."""

    name: str
    label: str
    type: str
    description: str

    def rendered(self) -> dict[str, Any]:
        """As Grafana's variable."""
        return {
            "type": "datasource",
            "name": self.name,
            "label": self.label,
            "description": self.description,
            "query": self.type,
            "regex": "",
            "hide": 0,
            "includeAll": False,
            "multi": False,
            "refresh": 1,
        }


@dataclass(frozen=True, slots=True)
class LabelValues:
    """A variable that chooses among the values of a label.

    Attributes:
        query: The series to look at.
        is_all_offered: Whether all of them may be chosen, and are at first.
    """

    name: str
    label: str
    description: str
    query: str
    of_label: str
    is_multi: bool = False
    is_all_offered: bool = False

    def rendered(self) -> dict[str, Any]:
        """As Grafana's variable."""
        query = f"label_values({self.query}, {self.of_label})"
        variable: dict[str, Any] = {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "description": self.description,
            "datasource": dict(METRICS),
            "definition": query,
            "query": {"query": query, "refId": f"variable-{self.name}"},
            "regex": "",
            "hide": 0,
            "includeAll": self.is_all_offered,
            "multi": self.is_multi,
            "refresh": _ON_TIME_RANGE_CHANGE,
            "sort": 5,
        }
        if self.is_all_offered:
            # Models need no version: what has none has no such label, which only this matches.
            variable |= {"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}
        return variable


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable that chooses among what is listed; the first at first."""

    name: str
    label: str
    description: str
    values: Sequence[str]

    def rendered(self) -> dict[str, Any]:
        """As Grafana's variable."""
        options = [{"text": value, "value": value, "selected": place == 0} for place, value in enumerate(self.values)]
        return {
            "type": "custom",
            "name": self.name,
            "label": self.label,
            "description": self.description,
            "query": ",".join(self.values),
            "current": {"text": self.values[0], "value": self.values[0]},
            "options": options,
            "hide": 0,
            "includeAll": False,
            "multi": False,
        }


@dataclass(frozen=True, slots=True)
class TextBox:
    """A variable that is typed in."""

    name: str
    label: str
    description: str
    value: str

    def rendered(self) -> dict[str, Any]:
        """As Grafana's variable."""
        current = {"text": self.value, "value": self.value}
        return {
            "type": "textbox",
            "name": self.name,
            "label": self.label,
            "description": self.description,
            "query": self.value,
            "current": current,
            "options": [{**current, "selected": True}],
            "hide": 0,
        }


Variable = DataSource | LabelValues | Choice | TextBox


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, from left to right.

    Attributes:
        id: Unique among the board's panels.
        repeat: The variable for each of whose values the row is there once.
    """

    id: int
    title: str
    panels: Sequence[Panel]
    repeat: str = ""

    def rendered(self, top: int) -> Iterator[dict[str, Any]]:
        """The heading and its panels, from a line of the grid on."""
        heading: dict[str, Any] = {
            "id": self.id,
            "type": "row",
            "title": self.title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": top},
            "panels": [],
        }
        yield heading | ({"repeat": self.repeat} if self.repeat else {})
        x, y, height = 0, top + 1, 0
        for panel in self.panels:
            if x + panel.width > _WIDTH:
                x, y, height = 0, y + height, 0
            yield panel.rendered(x, y)
            x, height = x + panel.width, max(height, panel.height)


@dataclass(frozen=True, slots=True)
class Board:
    """A whole dashboard.

    Attributes:
        uid: Part of its address, and so the same for ever.
        links: To other boards, in the corner.
        firing: PromQL whose series mark on all panels when an alert fires.
    """

    uid: str
    title: str
    description: str
    tags: Sequence[str]
    variables: Sequence[Variable]
    rows: Sequence[Row]
    links: Sequence[Link] = ()
    firing: str = ""
    firing_title: str = ""

    def rendered(self) -> dict[str, Any]:
        """As Grafana imports, provisions and exports it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": list(self.tags),
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "1m",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": [variable.rendered() for variable in self.variables]},
            "annotations": {"list": list(self._annotations())},
            "links": [link.in_a_corner(keeps_time=True) for link in self.links],
            "panels": list(self._panels()),
        }

    def text(self) -> str:
        """The file; the same for the same version of the code."""
        return json.dumps(self.rendered(), indent=2, ensure_ascii=False) + "\n"

    def _panels(self) -> Iterator[dict[str, Any]]:
        top = 0
        for row in self.rows:
            panels = list(row.rendered(top))
            yield from panels
            top = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)

    def _annotations(self) -> Iterator[dict[str, Any]]:
        if self.firing:
            yield {
                "name": "Firing alerts",
                "datasource": dict(METRICS),
                "enable": True,
                "expr": self.firing,
                "iconColor": "red",
                "step": "60s",
                "titleFormat": self.firing_title,
                "useValueForTime": False,
            }
