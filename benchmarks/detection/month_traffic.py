"""A month of a model's traffic that drifts by nothing but the hour of the day, as the summaries of hourly windows.

Numbers are drawn row by row and counted in the baseline's bins, all hours of a column at once; categories, missing
values and truth values are drawn as the counts they end up as, which is the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from collector_processor.processors.windows import Window
from otel_ml import Baseline
from otel_ml.sketch.binned_columns import packed
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, FeatureSummary

MODEL = "watched"
DAY = 24
TRAINING_ROWS = 50_000
# A Monday, 00:00 UTC.
_BEGIN_UNIX_NANO = 1_767_571_200 * 1_000_000_000
_HOUR_NANO = 3600 * 1_000_000_000

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Change:
    """What is injected into one column, from one hour until before another.

    Attributes:
        shift: Of a number, in its standard deviations.
        missing: Share of rows that lose their value.
        new_category: Share of values that become a category the baseline does not know.
    """

    column: str
    begin: int
    end: int
    shift: float = 0.0
    missing: float = 0.0
    new_category: float = 0.0


class Column(Protocol):
    """One column of the traffic."""

    @property
    def name(self) -> str:
        """As in the model's rows."""
        ...

    def train(self, rng: np.random.Generator, hours: Counts) -> object:
        """A value for each row of the training data, given the hour of the day of each."""
        ...

    def month(
        self, rng: np.random.Generator, rows: Counts, baseline: Baseline, change: Change | None
    ) -> list[FeatureSummary]:
        """A summary for each hour of the month, given its rows."""
        ...


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Numbers whose distribution follows the hour of the day by `swing`.

    Attributes:
        form: "mean" and "spread" move the mean and the standard deviation of a normal distribution, "heavy" the scale
            of a lognormal one, "zeros" the share of zeros beside one, "counts" the rate of a Poisson distribution.
        phase: Hour of the day at which it is highest.
    """

    name: str
    form: str
    swing: float
    phase: float
    missing: float

    def train(self, rng: np.random.Generator, hours: Counts) -> object:
        """As `Column.train`."""
        values = self._draw(rng, hours)
        values[rng.random(len(values)) < self.missing] = np.nan
        return values

    def month(
        self, rng: np.random.Generator, rows: Counts, baseline: Baseline, change: Change | None
    ) -> list[FeatureSummary]:
        """As `Column.month`."""
        key = FeatureKey(FeatureRole.FEATURE, self.name)
        layout = baseline.layout(key)
        assert layout is not None
        missing = rng.binomial(rows, _with(self.missing, rows, change, "missing"))
        present = rows - missing
        hour = np.repeat(np.arange(len(rows)), present)
        values = self._draw(rng, hour)
        if change is not None and change.shift:
            reference = baseline.features[key].content
            assert isinstance(reference, NumericSummary)
            values[(hour >= change.begin) & (hour < change.end)] += change.shift * reference.moments.standard_deviation
        bins = np.searchsorted(layout.edges, values, side="left")
        counts = np.bincount(hour * layout.bins + bins, minlength=len(rows) * layout.bins)
        counts = counts.reshape(len(rows), layout.bins)
        return [
            FeatureSummary(
                key,
                NumericSummary(moments, {layout.hash: AnchoredBins(layout.hash, counts[place])}),
                Counters(int(rows[place]), int(missing[place])),
            )
            for place, moments in enumerate(_moments(values, present))
        ]

    def _draw(self, rng: np.random.Generator, hours: Counts) -> Floats:
        wave = (self.swing * np.cos(2 * np.pi * (np.arange(DAY) - self.phase) / DAY))[hours % DAY]
        if self.form == "counts":
            return rng.poisson(4 * (1 + wave)).astype(np.float64)
        noise = rng.standard_normal(len(hours))
        if self.form == "mean":
            return noise + wave
        if self.form == "spread":
            return noise * (1 + wave)
        if self.form == "heavy":
            return np.exp(noise + wave)
        assert self.form == "zeros"
        return np.where(rng.random(len(hours)) < 0.3 + wave, 0.0, np.exp(noise))


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """Categories whose rates follow the hour of the day by up to `swing` of themselves, each at its own time.

    Attributes:
        names: Of the categories; "true" and "false" are truth values.
    """

    name: str
    names: Sequence[str]
    shares: Floats
    phases: Floats
    swing: float
    missing: float

    def train(self, rng: np.random.Generator, hours: Counts) -> object:
        """As `Column.train`."""
        below = self._shares(np.arange(DAY)).cumsum(axis=1)
        drawn = (rng.random(len(hours))[:, None] > below[hours % DAY]).sum(axis=1)
        drawn = np.minimum(drawn, len(self.names) - 1)
        values = np.array(self.names, dtype=object)[drawn]
        if self._is_boolean:
            values = values == "true"
            return values.tolist()
        values[rng.random(len(values)) < self.missing] = None
        return values.tolist()

    def month(
        self,
        rng: np.random.Generator,
        rows: Counts,
        baseline: Baseline,  # noqa: ARG002 - categories are counted by name
        change: Change | None,
    ) -> list[FeatureSummary]:
        """As `Column.month`."""
        key = FeatureKey(FeatureRole.FEATURE, self.name)
        missing = rng.binomial(rows, _with(self.missing, rows, change, "missing"))
        present = rows - missing
        new = rng.binomial(present, _with(0.0, rows, change, "new_category"))
        counts = rng.multinomial(present - new, self._shares(np.arange(len(rows))))
        return [
            FeatureSummary(key, self._content(row, int(new[place])), Counters(int(rows[place]), int(missing[place])))
            for place, row in enumerate(counts)
        ]

    @property
    def _is_boolean(self) -> bool:
        return "true" in self.names

    def _content(self, counts: Counts, new: int) -> BooleanSummary | CategoricalSummary:
        by_name = {name: count for name, count in zip(self.names, counts.tolist(), strict=True) if count}
        if self._is_boolean:
            return BooleanSummary(by_name.get("false", 0), by_name.get("true", 0))
        if new:
            by_name["new"] = new
        return CategoricalSummary(CategoryCounts(counts=by_name))

    def _shares(self, hours: Counts) -> Floats:
        """(hours, categories), each row adding up to 1."""
        wave = self.swing * np.cos(2 * np.pi * (hours[:, None] - self.phases) / DAY)
        shares = self.shares * (1 + wave)
        return shares / shares.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Fifty columns, and how many rows an hour has.

    Attributes:
        volume: (24,) rows in an hour of the day, on average.
    """

    columns: Sequence[Column]
    volume: Floats
    rng: np.random.Generator = field(repr=False)

    @classmethod
    def of(cls, seed: int) -> Traffic:
        """The traffic of one model; another seed is another model of the same kind."""
        rng = np.random.default_rng(seed)
        columns: list[Column] = []
        for form, count, least, most in (
            ("mean", 10, 0.0, 0.0),
            ("mean", 10, 0.1, 0.3),
            ("spread", 4, 0.05, 0.15),
            ("heavy", 4, 0.1, 0.3),
            ("zeros", 4, 0.03, 0.1),
            ("counts", 4, 0.03, 0.1),
        ):
            title = form if most else "steady"
            columns += [
                NumberColumn(
                    f"{title}_{index}", form, rng.uniform(least, most), rng.uniform(0, DAY), rng.choice([0.0, 0.01])
                )
                for index in range(count)
            ]
        for title, count, categories in (("few", 6, 8), ("many", 4, 60), ("truth", 4, 2)):
            for index in range(count):
                names = ["false", "true"] if categories == 2 else [f"value_{place}" for place in range(categories)]
                shares = 1 / np.arange(1, categories + 1)
                columns.append(
                    CategoryColumn(
                        f"{title}_{index}",
                        names,
                        shares / shares.sum(),
                        rng.uniform(0, DAY, categories),
                        rng.uniform(0.05, 0.2),
                        0.0 if categories == 2 else rng.choice([0.0, 0.01]),
                    )
                )
        # From 200 rows in the dead of night to 2,000 in the afternoon.
        volume = 1100 - 900 * np.cos(2 * np.pi * (np.arange(DAY) - 3) / DAY)
        return cls(columns, volume, rng)

    def baseline(self) -> Baseline:
        """That of training data from other days of the same process."""
        hours = self.rng.choice(DAY, size=TRAINING_ROWS, p=self.volume / self.volume.sum())
        data = {column.name: column.train(self.rng, hours) for column in self.columns}
        names = [column.name for column in self.columns if isinstance(column, CategoryColumn)]
        categorical = [name for name in names if not name.startswith("truth")]
        return Baseline.build(data, model=MODEL, categorical=categorical)

    def month(self, baseline: Baseline, days: int) -> Month:
        """So many days of it."""
        rows = np.maximum(self.rng.poisson(self.volume[np.arange(days * DAY) % DAY]), 1)
        return Month(self, baseline, rows)


@dataclass(frozen=True, slots=True)
class Month:
    """Some days of traffic, which can be looked at with changes and without.

    Attributes:
        rows: (hours,)
        numbers: Summaries without a change, by column: drawing them is what takes most of the time.
    """

    traffic: Traffic
    baseline: Baseline = field(repr=False)
    rows: Counts = field(repr=False)
    numbers: dict[str, list[FeatureSummary]] = field(default_factory=dict, repr=False)

    def windows(self, changes: Sequence[Change] = ()) -> Iterator[Window]:
        """The closed windows in their order, each for one taker: evaluation may change it."""
        by_column: Mapping[str, Change] = {change.column: change for change in changes}
        columns = [self._summaries(column, by_column.get(column.name)) for column in self.traffic.columns]
        for hour, rows in enumerate(self.rows.tolist()):
            begin = _BEGIN_UNIX_NANO + hour * _HOUR_NANO
            # As they arrive from servers that know the baseline; the matrices are copies.
            binned, unbinned = packed(summaries[hour] for summaries in columns)
            window = Window(ModelKey(MODEL), begin, begin + _HOUR_NANO, rows, snapshots=1, binned=binned)
            window.unbinned.update({(summary.key, summary.kind): summary for summary in unbinned})
            yield window

    def _summaries(self, column: Column, change: Change | None) -> list[FeatureSummary]:
        if isinstance(column, NumberColumn) and change is None:
            if column.name not in self.numbers:
                self.numbers[column.name] = column.month(self.traffic.rng, self.rows, self.baseline, None)
            return self.numbers[column.name]
        return column.month(self.traffic.rng, self.rows, self.baseline, change)


def _with(usual: float, rows: Counts, change: Change | None, what: str) -> Floats:
    """(hours,) a rate, raised by a change while it lasts."""
    rates = np.full(len(rows), usual)
    if change is not None:
        rates[change.begin : change.end] += getattr(change, what)
    return rates


def _moments(values: Floats, counts: Counts) -> Iterator[Moments]:
    """Of consecutive groups, none of them empty."""
    begin = counts.cumsum() - counts
    means = np.add.reduceat(values, begin) / counts
    m2 = np.add.reduceat(np.square(values - np.repeat(means, counts)), begin)
    columns = (counts, means, m2, np.minimum.reduceat(values, begin), np.maximum.reduceat(values, begin))
    for count, mean, squares, minimum, maximum in zip(*(column.tolist() for column in columns), strict=True):
        yield Moments(count, min(max(mean, minimum), maximum), squares, minimum, maximum)
