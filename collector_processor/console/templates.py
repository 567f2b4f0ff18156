"""Filling in templates, and what they may call."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from collector_processor.console.cells import heat_cells, magnitude, utc
from collector_processor.console.page import RANGES, Content, Page, Request, address
from collector_processor.console.settings import ALERT, TRACE_ID, ConsoleSettings
from otel_ml.drawing.frame import Frame
from otel_ml.drawing.overlay import overlay
from otel_ml.drawing.sparkline import sparkline

_UNITS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_NOTHING: Final = "\N{EN DASH}"


class Templates:
    """All templates of the console.

    Args:
        pages: In the navigation are those that have a place there.
        versions: Of the files that pages load, by name: a new one is not the one that a browser keeps.
    """

    def __init__(self, pages: Sequence[Page], settings: ConsoleSettings, versions: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = Environment(
            loader=PackageLoader("collector_processor.console", "html"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        placed = [page for page in pages if page.place is not None]
        self._environment.globals |= {
            "navigation": sorted(placed, key=lambda page: page.place or 0),
            "ranges": list(RANGES),
            "address": address,
            "asset": lambda name: f"/static/{name}?v={versions[name]}",
            "heat_cells": heat_cells,
            "spark": _spark,
            "overlay": _overlay,
            "trace_link": self._trace_link,
            "runbook_link": self._runbook_link,
        }
        self._environment.filters |= {
            "magnitude": magnitude,
            "number": number,
            "whole": whole,
            "percent": percent,
            "seconds": seconds,
            "moment": _moment,
            "age": age,
            "middle_cut": middle_cut,
            "as_data": _as_data,
        }

    def page(self, page: Page, request: Request, content: Content) -> str:
        """A page with its content."""
        here = {**request.parameters}
        twin = "/models.json" if page.path == "/" else f"{page.path}.json"
        return self._environment.get_template(page.template).render(
            content,
            page=page,
            now=request.now,
            parameters=here,
            this=address(page.path, **here),
            twin=address(twin, **here),
            with_range=lambda name: address(page.path, **{**here, "range": name}),
        )

    def plain(self, template: str, **content: Any) -> str:
        """A page that stands outside of the navigation."""
        return self._environment.get_template(template).render(content, page=None)

    def _trace_link(self, trace_id: str) -> str | None:
        template = self._settings.trace_url_template
        return None if template is None else template.replace(TRACE_ID, quote(trace_id, safe=""))

    def _runbook_link(self, alert: str) -> str | None:
        template = self._settings.runbook_url_template
        return None if template is None else template.replace(ALERT, quote(alert, safe=""))


def number(value: float | None, digits: int = 3) -> str:
    """A number that people read, or a dash."""
    if value is None or math.isnan(value):
        return _NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value and abs(value) < 10.0**-digits:
        return f"{value:.1e}"
    return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def whole(value: float | None) -> str:
    """A count."""
    return _NOTHING if value is None or math.isnan(value) else f"{value:,.0f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage; one that is too small to show is not 0."""
    if value is None or math.isnan(value):
        return _NOTHING
    if 0 < value < 0.5 * 10.0 ** (-2 - digits):
        return f"< {10.0**-digits:.{digits}f} %"
    return f"{value * 100:.{digits}f} %"


def seconds(value: float | None) -> str:
    """A span of time, in the unit that suits it."""
    if value is None or math.isnan(value):
        return _NOTHING
    if 0 < value < 1.0:
        return f"{value * 1000:.3g} ms"
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 10 * size else f"{value / size:,.0f} {unit}"
    return "0 s"


def age(value: float | None) -> str:
    """How long ago something was, as exactly as anybody wants to know."""
    if value is None or math.isnan(value):
        return _NOTHING
    for size, unit in _UNITS:
        if value >= size:
            digits = 1 if size > 60.0 and value < 10 * size else 0
            return f"{value / size:.{digits}f} {unit} ago"
    return "now"


def middle_cut(text: str, limit: int = 40) -> str:
    """At most so many characters of a name, of its beginning and its end: names of columns often begin alike."""
    if len(text) <= limit:
        return text
    behind = limit // 2
    return f"{text[: limit - behind - 1]}…{text[-behind:]}"


def _moment(nanoseconds: int | None) -> Markup:
    """A date and a time, which a browser may show in its own zone."""
    found = None if nanoseconds is None else utc(nanoseconds)
    if found is None:
        return escape(_NOTHING)
    return Markup('<time datetime="{}">{}</time>').format(
        found.isoformat(timespec="milliseconds"), f"{found:%Y-%m-%d %H:%M:%S} UTC"
    )


def _as_data(value: Any) -> str:
    """JSON for an attribute."""
    return json.dumps(value, separators=(",", ":"))


def _spark(values: Sequence[float | None], threshold: float | None = None) -> Markup:
    found = [math.nan if value is None else value for value in values]
    return Markup(sparkline(found, threshold=threshold))  # noqa: S704 - drawn by us, with every name escaped


def _overlay(picture: Mapping[str, Any], title: str) -> Markup:
    shares = picture["shares"]
    drawn = overlay(
        Frame.of_json(picture["frame"]),
        None if shares is None else np.asarray(shares, np.float64),
        title=title,
        reference_count=picture["frame"]["count"],
        current_count=picture["count"],
    )
    return Markup(drawn)  # noqa: S704 - likewise
