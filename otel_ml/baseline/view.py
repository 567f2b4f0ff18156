"""A baseline as a notebook shows it, and one column of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from otel_ml.drawing.drawable import distribution_of
from otel_ml.drawing.frame import Frame, frame_of
from otel_ml.drawing.markup import escaped, shortened
from otel_ml.drawing.numerals import numeral, percent
from otel_ml.drawing.overlay import overlay
from otel_ml.drawing.pages import block, table
from otel_ml.sketch.feature import FeatureKind, FeatureRole
from otel_ml.sketch.summary import FeatureSummary, numbers_of

if TYPE_CHECKING:
    from otel_ml.baseline.baseline import Baseline
    from otel_ml.sketch.bins import BinLayout

_HEADINGS: Final = ("column", "role", "kind", "values", "missing", "smallest", "mean", "largest", "importance")
_RIGHT: Final = frozenset(_HEADINGS[3:])
_LISTED: Final = 200
_DRAWN: Final = 12
_NAME: Final = 80
_WIDTH, _HEIGHT = 420, 180
_COUNTED: Final = {
    FeatureKind.TEXT: "lengths in characters",
    FeatureKind.EMBEDDING: "norms of vectors",
    FeatureKind.DATETIME: "hours of the day, UTC",
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ColumnView:
    """One column of a baseline: what is known of it, and its picture in a notebook.

    Attributes:
        summary: What is kept of it.
        layout: The bins cut for its numbers, if it has any.
    """

    summary: FeatureSummary
    layout: BinLayout | None = None

    @property
    def frame(self) -> Frame | None:
        """The bins it is drawn in, and its shares of them; None where it has no values to draw."""
        drawn = distribution_of(self.summary, self.layout)
        return None if drawn is None else frame_of(drawn)

    def __repr__(self) -> str:
        key, counters = self.summary.key, self.summary.counters
        facts = [f"{counters.valid:,} values", f"{percent(_missing(self.summary))} missing", *_range(self.summary)]
        return f"<{self.summary.kind.value} {key.role.value} {key.name!r}: {', '.join(facts)}>"

    def _repr_html_(self) -> str:
        return block(_card(self))


def baseline_html(baseline: Baseline) -> str:
    """A baseline as a notebook shows it: the facts, pictures of the columns that matter most, a table of all."""
    created = datetime.fromtimestamp(baseline.created_unix_nano / 1e9, tz=timezone.utc)
    version = f" {baseline.model.version}" if baseline.model.version else ""
    by_importance = sorted(
        baseline.features,
        key=lambda key: -baseline.importances.get(key.name, 0.0) if key.role is FeatureRole.FEATURE else 0.0,
    )
    views = [ColumnView(baseline.features[key], baseline.layout(key)) for key in by_importance[:_DRAWN]]
    cards = "".join(part for view in views for part in _card(view))
    rows = [_row(baseline, summary) for summary in list(baseline.features.values())[:_LISTED]]
    rest = len(baseline.features) - len(rows)
    built = f"{baseline.rows:,} rows, built {created:%Y-%m-%d %H:%M} UTC"
    return block(
        (
            f"<h2>Baseline of {escaped(shortened(baseline.model.name + version, _NAME))}</h2>",
            f'<p class="ml-quiet">{escaped(baseline.id)}, {built}</p>',
            f'<div class="ml-cards">{cards}</div>',
            f"<h2>All columns</h2>{table(_HEADINGS, rows, right=_RIGHT)}",
            f'<p class="ml-quiet">and {rest:,} more</p>' if rest else "",
        )
    )


def _card(view: ColumnView) -> list[str]:
    key, kind = view.summary.key, view.summary.kind
    frame = view.frame
    counted = f", {_COUNTED[kind]}" if kind in _COUNTED else ""
    facts = [f"{percent(_missing(view.summary))} missing", *_range(view.summary)]
    drawn = ""
    if frame is not None:
        drawn = overlay(
            frame,
            None,
            title=f"{key.name} in the baseline",
            reference_count=frame.count,
            current_count=0,
            width=_WIDTH,
            height=_HEIGHT,
            is_alone=True,
        )
    return [
        f'<section class="ml-card"><header><h3>{escaped(shortened(key.name, _NAME))}</h3>',
        f'<span class="ml-quiet">{key.role.value}, {kind.value}{counted}</span></header>',
        f"<p>{escaped(', '.join(facts))}</p>{drawn}</section>",
    ]


def _row(baseline: Baseline, summary: FeatureSummary) -> list[str]:
    numbers = numbers_of(summary.content)
    moments = numbers.moments if numbers is not None and numbers.count else None
    told = ("", "", "") if moments is None else tuple(map(numeral, (moments.minimum, moments.mean, moments.maximum)))
    weight = baseline.importances.get(summary.key.name) if summary.key.role is FeatureRole.FEATURE else None
    return [
        escaped(shortened(summary.key.name, _NAME)),
        summary.key.role.value,
        summary.kind.value,
        f"{summary.counters.valid:,}",
        percent(_missing(summary)),
        *told,
        "" if weight is None else numeral(weight, 3),
    ]


def _missing(summary: FeatureSummary) -> float:
    return summary.counters.missing / summary.counters.rows if summary.counters.rows else 0.0


def _range(summary: FeatureSummary) -> list[str]:
    numbers = numbers_of(summary.content)
    if numbers is None or not numbers.count:
        return []
    moments = numbers.moments
    counted = f"{_COUNTED[summary.kind]} " if summary.kind in _COUNTED else ""
    return [f"{counted}{numeral(moments.minimum)} to {numeral(moments.maximum)}, mean {numeral(moments.mean)}"]
