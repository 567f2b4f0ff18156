"""Panels of a board, and the JSON that Grafana wants of them.

Grafana's own SDK for Python stopped at Grafana 11 and pulls its versions in from a build number, so this writes the few
properties that our panels need; what is left out Grafana fills in with its defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

METRICS: Final[Mapping[str, str]] = {"type": "prometheus", "uid": "${datasource}"}
"""Whatever data source is chosen at the top of the board."""

GREEN, YELLOW, ORANGE, RED, GREY = "green", "yellow", "orange", "red", "text"

# What model servers and processors send arrives once a minute by default. Grafana takes 15 s for granted, and a rate
# over less than two points is empty.
_INTERVAL: Final = "1m"
# Columns of a history that a screen has room for.
_COLUMNS: Final = 120

Kind = Literal["timeseries", "stat", "table", "status-history", "state-timeline"]
Thresholds = Sequence[tuple[str, float | None]]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL, with the board's variables.
        legend: What a series is called, with labels in double braces.
        is_instant: Only its latest value is asked for, as a table.
        exemplars: Show requests that stand behind the values, where the backend has some.
    """

    expr: str
    legend: str = ""
    is_instant: bool = False
    exemplars: bool = False

    def rendered(self, ref_id: str) -> dict[str, Any]:
        """As a target of a panel."""
        target: dict[str, Any] = {
            "datasource": dict(METRICS),
            "editorMode": "code",
            "expr": self.expr,
            "interval": _INTERVAL,
            "refId": ref_id,
        }
        if self.is_instant:
            return target | {"format": "table", "instant": True, "range": False}
        return target | {"exemplar": self.exemplars, "legendFormat": self.legend or "__auto", "range": True}


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click leads."""

    title: str
    url: str
    in_new_tab: bool = False

    def rendered(self) -> dict[str, Any]:
        """As a data link."""
        return {"title": self.title, "url": self.url, "targetBlank": self.in_new_tab}

    def in_a_corner(self, *, keeps_time: bool = False) -> dict[str, Any]:
        """As a link of a panel or of a whole board."""
        return {
            "type": "link",
            "icon": "external link" if self.in_new_tab else "dashboard",
            "tooltip": "",
            "tags": [],
            "asDropdown": False,
            "includeVars": False,
            "keepTime": keeps_time,
            **self.rendered(),
        }


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table that is made of instant queries.

    Attributes:
        field: The label, or "Value #A" of the query A.
        title: What it is called.
    """

    field: str
    title: str
    unit: str = ""
    thresholds: Thresholds = ()
    links: Sequence[Link] = ()
    width: int | None = None

    def rendered(self) -> dict[str, Any]:
        """As an override of the field's settings."""
        properties: list[dict[str, Any]] = []
        if self.unit:
            properties.append({"id": "unit", "value": self.unit})
        if self.thresholds:
            properties.append({"id": "thresholds", "value": _thresholds(self.thresholds)})
            properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
        if self.links:
            properties.append({"id": "links", "value": [link.rendered() for link in self.links]})
        if self.width is not None:
            properties.append({"id": "custom.width", "value": self.width})
        return {"matcher": {"id": "byName", "options": self.title}, "properties": properties}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        id: Unique in the board, and the same for ever: links to a panel and alerts hold it.
        description: What it shows and what to make of it; behind the "i" in its corner.
        unit: Grafana's name of a unit.
        data_links: Where a click on a value leads.
        columns: Of a table, in order.
        worst_first: Titles of columns that a table is sorted by, descending.
        mappings: What numbers are called, and their colours.
    """

    id: int
    title: str
    description: str
    queries: Sequence[Query]
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    minimum: float | None = None
    maximum: float | None = None
    decimals: int | None = None
    thresholds: Thresholds = ()
    is_limit_drawn: bool = False
    data_links: Sequence[Link] = ()
    links: Sequence[Link] = ()
    columns: Sequence[Column] = ()
    worst_first: Sequence[str] = ()
    mappings: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def rendered(self, x: int, y: int) -> dict[str, Any]:
        """As JSON, at a place in the grid."""
        panel: dict[str, Any] = {
            "id": self.id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": dict(METRICS),
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": [query.rendered(chr(ord("A") + place)) for place, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": [column.rendered() for column in self.columns]},
            "options": {**_OPTIONS[self.kind], **self._sorting()},
        }
        if self.links:
            panel["links"] = [link.in_a_corner() for link in self.links]
        if self.kind in ("status-history", "state-timeline"):
            panel["maxDataPoints"] = _COLUMNS
        if self.columns:
            panel["transformations"] = self._transformations()
        return panel

    def _defaults(self) -> dict[str, Any]:
        is_coloured = self.kind != "timeseries" and self.thresholds
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "color": {"mode": "thresholds" if is_coloured else "palette-classic"},
            "custom": dict(_CUSTOM.get(self.kind, {})),
        }
        given = {"min": self.minimum, "max": self.maximum, "decimals": self.decimals}
        defaults |= {name: value for name, value in given.items() if value is not None}
        if self.thresholds:
            defaults["thresholds"] = _thresholds(self.thresholds)
        if self.is_limit_drawn:
            defaults["custom"]["thresholdsStyle"] = {"mode": "dashed"}
        if self.data_links:
            defaults["links"] = [link.rendered() for link in self.data_links]
        if self.mappings:
            options = {
                value: {"index": place, "text": text, "color": color}
                for place, (value, (text, color)) in enumerate(self.mappings.items())
            }
            defaults["mappings"] = [{"type": "value", "options": options}]
        return defaults

    def _sorting(self) -> dict[str, Any]:
        if not self.worst_first:
            return {}
        return {"sortBy": [{"displayName": title, "desc": True} for title in self.worst_first]}

    def _transformations(self) -> list[dict[str, Any]]:
        """One row for each set of labels, with a column for each query."""
        shown = {column.field for column in self.columns}
        hidden = {"Time"} | ({"Value"} - shown)
        return [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": dict.fromkeys(sorted(hidden), True),
                    "indexByName": {column.field: place for place, column in enumerate(self.columns)},
                    "renameByName": {column.field: column.title for column in self.columns},
                },
            },
        ]


def _thresholds(steps: Thresholds) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]}


_LEGEND: Final = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True}
_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    },
    "table": {"cellHeight": "sm", "showHeader": True},
    "status-history": {
        "colWidth": 0.95,
        "legend": {**_LEGEND, "showLegend": False},
        "rowHeight": 0.9,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    },
    "state-timeline": {
        "alignValue": "left",
        "legend": {**_LEGEND, "showLegend": False},
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    },
}
_CUSTOM: Final[Mapping[str, Mapping[str, Any]]] = {
    # A gap in what arrives once a minute is no end of the line.
    "timeseries": {"drawStyle": "line", "fillOpacity": 8, "lineWidth": 1, "showPoints": "auto", "spanNulls": 300_000},
    "table": {"align": "auto", "filterable": True},
    "status-history": {"fillOpacity": 85, "lineWidth": 0},
    "state-timeline": {"fillOpacity": 85, "lineWidth": 0},
}
